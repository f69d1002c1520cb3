"""The step: packing, accumulation, sharding and recomputation change how it is computed, not what."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dsmath.config import Mesh
from dsmath.error import UserError
from dsmath.model import decoder, kernels, remat
from dsmath.sharding import TRAINING, make_mesh, place
from dsmath.train import optimizer as optimizers
from dsmath.train import step as steps
from tests.train.conftest import CONFIG, ROW_LENGTH

ARCH = CONFIG.model
LOSS = functools.partial(steps.sft_loss, arch=ARCH, keep=None, packed_attention=kernels.xla)


@pytest.fixture(scope="module")
def params():
    return jax.jit(functools.partial(decoder.init, ARCH))(jax.random.key(1))


@pytest.fixture(scope="module")
def gradient(params):
    """batch -> ((sum of losses, trained tokens), gradients of the sum)."""
    loss = functools.partial(LOSS, compute_dtype=jnp.float32)
    return functools.partial(jax.jit(jax.value_and_grad(loss, has_aux=True)), params)


def run(params, batch, *, mesh: Mesh = CONFIG.mesh, microbatches: int = 1, keep: str = "dots", **changes):
    """State and metrics after one compiled step, on the host."""
    mesh = make_mesh(mesh)
    optimizer = optimizers.make(dataclasses.replace(CONFIG.train, **changes), ARCH)
    compiled = steps.compile_step(
        mesh,
        arch=ARCH,
        optimizer=optimizer,
        shape=batch["tokens"].shape,
        microbatches=microbatches,
        keep=remat.find(keep),
    )
    abstract = steps.abstract_state(ARCH, optimizer, mesh)
    state = steps.new_state(place(jax.tree.map(np.array, params), decoder.axes(ARCH), mesh, TRAINING), optimizer)
    state = jax.device_put(state, jax.tree.map(lambda x: x.sharding, abstract))
    return jax.device_get(compiled(state, jax.device_put(batch, steps.batch_sharding(mesh))))


@pytest.fixture(scope="module")
def reference(params, batch):
    """One device, one batch."""
    return run(params, batch)


def assert_same(ours, theirs):
    (state, metrics), (expected, expected_metrics) = ours, theirs
    assert metrics.trained_tokens == expected_metrics.trained_tokens
    assert metrics.tokens == expected_metrics.tokens
    np.testing.assert_allclose(metrics.loss, expected_metrics.loss, rtol=1e-5)
    np.testing.assert_allclose(metrics.grad_norm, expected_metrics.grad_norm, rtol=1e-5)
    # First moments are linear in the gradients, which the parameters' first step (its sign, almost) is not.
    for moment in ("mu", "nu"):
        ours, theirs = (_moment(s.opt_state, moment) for s in (state, expected))
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-7), ours, theirs)


def test_packed_rows_equal_separate_rows_in_loss_and_gradients(batch, gradient):
    separate = [
        {k: np.pad(v[r][v_segment], (0, ROW_LENGTH - v_segment.sum())) for k, v in batch.items()}
        for r in range(8)
        for s in range(1, batch["segments"][r].max() + 1)
        for v_segment in [batch["segments"][r] == s]
    ]
    assert len(separate) > 8
    separate += [{k: np.zeros_like(v[0]) for k, v in batch.items()}] * (-len(separate) % 8)
    (total, count), grads = gradient(batch)
    parts = [
        gradient({k: np.stack([row[k] for row in separate[i : i + 8]]) for k in batch})
        for i in range(0, len(separate), 8)
    ]
    (alone, alone_count), alone_grads = jax.tree.map(lambda *x: sum(x), *parts)
    assert count == alone_count
    np.testing.assert_allclose(total, alone, rtol=1e-5)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), grads, alone_grads)


def test_accumulated_equals_one_batch_though_microbatches_train_uneven_numbers_of_tokens(params, batch, reference):
    trained = batch["trained"].reshape(2, 4, ROW_LENGTH).sum(axis=(0, 2))
    assert len(set(trained)) > 1
    assert_same(run(params, batch, microbatches=4), reference)


@pytest.mark.parametrize(
    "mesh", [Mesh(8, 1, 1), Mesh(1, 8, 1), Mesh(2, 2, 2), Mesh(1, 2, 2, context=2), Mesh(1, 1, 1, context=4)], ids=str
)
def test_any_mesh_equals_one_device(params, batch, reference, mesh):
    assert_same(run(params, batch, mesh=mesh), reference)


@pytest.mark.parametrize("keep", sorted(remat.POLICIES.keys() - {"dots"}))
def test_what_is_kept_changes_nothing(params, batch, reference, keep):
    """The reference keeps "dots"."""
    assert_same(run(params, batch, keep=keep), reference)


def test_sharded_in_microbatches_and_recomputed_equals_one_device(params, batch, reference):
    assert_same(run(params, batch, mesh=Mesh(1, 2, 2, context=2), microbatches=2, keep="full"), reference)


@pytest.mark.parametrize(("rows", "parts"), [(1, 4), (2, 2), (3, 2), (4, 1), (100, 1)])
def test_microbatches_are_as_few_as_the_rows_of_a_device_allow(rows, parts):
    train = dataclasses.replace(CONFIG.train, batch_rows=16, microbatches=None, rows_per_device=rows)
    assert steps.microbatch_count(train, make_mesh(Mesh(2, 2, 2))) == parts
    assert steps.microbatch_count(dataclasses.replace(train, microbatches=3), make_mesh(Mesh(2, 2, 2))) == 3


def test_moments_in_bf16_take_half_the_memory_and_train_almost_alike(params, batch, reference):
    state, metrics = run(params, batch, moments_dtype="bfloat16")
    assert metrics == reference[1]
    for moment in ("mu", "nu"):
        low, full = (_moment(s.opt_state, moment) for s in (state, reference[0]))
        assert {x.dtype for x in jax.tree.leaves(low)} == {jnp.dtype(jnp.bfloat16)}
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a.astype(np.float32), b, rtol=2**-8), low, full)
    jax.tree.map(functools.partial(np.testing.assert_array_equal), state.params, reference[0].params)


def test_loss_is_the_mean_over_trained_tokens(batch, gradient, reference):
    (total, count), _ = gradient(batch)
    assert count == batch["trained"].sum()
    np.testing.assert_allclose(reference[1].loss, total / count, rtol=1e-5)
    assert reference[1].tokens == (batch["segments"] > 0).sum()


def test_bf16_compute_keeps_gradients_in_f32_and_the_loss_near(params, batch, reference):
    loss = functools.partial(LOSS, compute_dtype=jnp.bfloat16)
    grads, _ = jax.eval_shape(jax.grad(loss, has_aux=True), params, batch)
    assert {x.dtype for x in jax.tree.leaves(grads)} == {jnp.dtype(jnp.float32)}
    total, count = jax.jit(loss)(params, batch)
    assert total / count != reference[1].loss
    np.testing.assert_allclose(total / count, reference[1].loss, rtol=2e-3)


def test_rows_that_do_not_divide_are_refused_with_both_numbers():
    optimizer = optimizers.make(CONFIG.train, ARCH)
    with pytest.raises(UserError, match=r"batch_rows is 6; expected a multiple of 8"):
        steps.compile_step(
            make_mesh(Mesh(2, 2, 1)),
            arch=ARCH,
            optimizer=optimizer,
            shape=(6, ROW_LENGTH),
            microbatches=2,
            keep=None,
        )


def test_rows_longer_than_the_model_has_positions_are_refused():
    with pytest.raises(UserError, match=rf"row_length is {ROW_LENGTH + 8}, but the model has {ROW_LENGTH} positions"):
        steps.compile_step(
            make_mesh(Mesh(1, 1, 1)),
            arch=ARCH,
            optimizer=optimizers.make(CONFIG.train, ARCH),
            shape=(8, ROW_LENGTH + 8),
            microbatches=1,
            keep=None,
        )


def test_a_step_takes_any_loss(params, batch):
    """Here the sum of squares of the embedding, over 8 rows: its gradient is known."""
    optimizer = optax.sgd(1.0)

    def loss(params, batch):
        return jnp.sum(params["embed"] ** 2), jnp.float32(len(batch["tokens"]))

    state = steps.new_state(params, optimizer)
    after, metrics = steps.train_step(state, batch, loss=loss, optimizer=optimizer, microbatches=1)
    np.testing.assert_allclose(after.params["embed"], params["embed"] * (1 - 2 / 8), rtol=1e-6)
    np.testing.assert_allclose(metrics.loss, jnp.sum(params["embed"] ** 2) / 8, rtol=1e-6)
    assert np.array_equal(after.params["norm"], params["norm"])


def test_weight_decay_spares_the_scales_of_norms_and_biases():
    arch = dataclasses.replace(ARCH, qkv_bias=True)
    optimizer = optimizers.make(dataclasses.replace(CONFIG.train, warmup_steps=0), arch)
    params = jax.tree.map(lambda axes: jnp.ones(len(axes)), decoder.axes(arch), is_leaf=_is_axes)
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    assert np.all(updates["norm"] == 0)
    assert all(np.all(updates["layers"][name] == 0) for name in ("attn_norm", "mlp_norm", *decoder.BIASES))
    np.testing.assert_allclose(updates["layers"]["q"], -0.01 * 0.1, rtol=1e-6)


def test_warm_up_climbs_from_the_first_step_and_stays():
    rate = optimizers.schedule(dataclasses.replace(CONFIG.train, warmup_steps=3, learning_rate=0.4))
    np.testing.assert_allclose([rate(np.int32(i)) for i in range(6)], [0.1, 0.2, 0.3, 0.4, 0.4, 0.4])
    assert optimizers.schedule(dataclasses.replace(CONFIG.train, warmup_steps=0))(np.int32(0)) == 0.01


def _moment(opt_state, name):
    return next(getattr(s, name) for s in jax.tree.leaves(opt_state, is_leaf=_has_moments) if _has_moments(s))


def _has_moments(node) -> bool:
    return hasattr(node, "mu")


def _is_axes(node) -> bool:
    return isinstance(node, tuple)
