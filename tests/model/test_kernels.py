"""Each platform's attention equals the plain one on packed rows, in values and gradients, on any mesh.

Splash runs in Pallas' interpreter; of cuDNN's call, XLA's implementation of the same function is what can run here.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsmath.config import Mesh
from dsmath.model import kernels
from dsmath.model.attention import Packed, attention
from dsmath.sharding import TRAINING, make_mesh, spec

SPLASH = functools.partial(kernels.splash, interpret=True)
CUDNN = functools.partial(kernels.cudnn, implementation="xla")


def packed(*, batch: int, length: int, heads: int, kv_heads: int, head: int):
    """Queries, keys, values, and segments: some long, some of one token, padding behind."""
    keys = jax.random.split(jax.random.key(0), 3)
    q, k, v = (
        jax.random.normal(key, (batch, length, n, head))
        for key, n in zip(keys, (heads, kv_heads, kv_heads), strict=True)
    )
    ends = np.array([[length // 2, length // 2 + 1, length - 7], [1, length // 3, length]])[np.arange(batch) % 2]
    segments = 1 + (np.arange(length) >= ends[..., None]).sum(axis=1)
    return q, k, v, jnp.where(jnp.arange(length) < ends[:, -1:], segments, 0)


def value_and_gradients(attend, window, q, k, v, segments):
    """The output where a token is, and the gradients of a function of it."""
    real = (segments > 0)[..., None, None]

    def loss(q, k, v):
        o = jnp.where(real, attend(q, k, v, segments, window=window), 0)
        return jnp.sum(jnp.sin(o)), o

    (_, o), grads = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(q, k, v)
    return jax.device_get((o, *grads))


def whole(q, k, v, segments, *, window):
    """Every query against every key of its row, at once."""
    return attention(q, k.swapaxes(1, 2), v.swapaxes(1, 2), Packed(segments, window))


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("attend", [SPLASH, CUDNN, kernels.xla], ids=["splash", "cudnn", "xla"])
@pytest.mark.parametrize(
    ("shape", "window"),
    [
        ({"length": 256, "heads": 2, "kv_heads": 2, "head": 128}, None),
        ({"length": 256, "heads": 2, "kv_heads": 2, "head": 128}, 70),
        ({"length": 200, "heads": 4, "kv_heads": 2, "head": 64}, None),  # neither whole tiles nor whole lanes
        ({"length": 200, "heads": 4, "kv_heads": 2, "head": 64}, 1),
        ({"length": 200, "heads": 4, "kv_heads": 2, "head": 64}, 1000),
    ],
    ids=str,
)
def test_it_equals_the_plain_one(attend, shape, window):
    inputs = packed(batch=2, **shape)
    assert_same(value_and_gradients(attend, window, *inputs), value_and_gradients(whole, window, *inputs))


@pytest.mark.parametrize("attend", [SPLASH, CUDNN, kernels.xla], ids=["splash", "cudnn", "xla"])
@pytest.mark.parametrize("mesh", [Mesh(2, 2, 2), Mesh(1, 2, 1, context=4), Mesh(1, 1, 2, context=2)], ids=str)
@pytest.mark.parametrize("window", [None, 150])
def test_it_is_the_same_on_a_mesh(attend, mesh, window):
    *qkv, segments = packed(batch=4, length=512, heads=4, kv_heads=2, head=32)
    expected = value_and_gradients(whole, window, *qkv, segments)
    mesh = make_mesh(mesh)
    with jax.set_mesh(mesh):
        qkv = [jax.device_put(x, spec(("batch", "length", "kv_heads", "head"), TRAINING)) for x in qkv]
        segments = jax.device_put(segments, spec(("batch", "length"), TRAINING))
        assert_same(value_and_gradients(attend, window, *qkv, segments), expected)


@pytest.mark.parametrize("window", [None, 20])
def test_a_segment_sees_no_other_and_no_later_token_and_none_before_its_window(window):
    """By its own words: what is changed outside of a token's past changes nothing."""
    q, k, v, segments = packed(batch=1, length=128, heads=2, kv_heads=2, head=32)
    at = 80
    seen = (segments[0] == segments[0, at]) & (jnp.arange(128) <= at)
    if window is not None:
        seen &= jnp.arange(128) > at - window
    assert (window or 80 - 65 + 1) >= seen.sum() > 1
    other_k, other_v = (jnp.where(seen[None, :, None, None], x, 9.0) for x in (k, v))
    for attend in (SPLASH, CUDNN, kernels.xla):
        one, other = (attend(q, *kv, segments, window=window)[0, at] for kv in ((k, v), (other_k, other_v)))
        np.testing.assert_array_equal(one, other)


def test_plain_xla_computes_no_score_of_a_key_behind_a_part_or_before_its_window():
    inputs = packed(batch=1, length=512, heads=1, kv_heads=1, head=8)

    def shapes(window):
        made = jax.make_jaxpr(functools.partial(kernels.xla, window=window))(*inputs)
        return [v.aval.shape for equation in made.eqns for v in equation.outvars]

    assert {shape[-1] for shape in shapes(None) if shape[-2:-1] == (128,)} >= {128, 256, 384, 512}
    assert not [shape for shape in shapes(None) if shape[-2:] == (512, 512)]
    assert {shape[-1] for shape in shapes(101) if shape[-2:-1] == (128,) and shape[-1] > 8} == {128, 228}


def test_each_platform_has_one():
    assert kernels.by_platform("tpu") is kernels.splash
    assert kernels.by_platform("gpu") is kernels.cudnn
    assert kernels.by_platform("cpu") is kernels.xla
