"""Attention over pages, in each platform's way, against plain attention over each sequence alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas.ops.tpu import ragged_paged_attention as ragged

from dsmath.config import Arch
from dsmath.model import paged
from dsmath.model.attention import Packed, attention
from dsmath.model.paged import NO_PAGE, Spans
from tests.model.test_decoder import SMALL

SIZE = 8  # tokens of a page
ROOM = 5  # pages of a table


class Case(NamedTuple):
    """Sequences on pages, and new tokens of each."""

    spans: Spans
    layer: paged.Layer
    q_TNH: jax.Array
    expected_TNH: np.ndarray
    read_T: np.ndarray  # tokens whose result anybody reads


def arch_of(heads: int, kv_heads: int, head_dim: int) -> Arch:
    return SMALL.__class__(**{**SMALL.__dict__, "num_heads": heads, "num_kv_heads": kv_heads, "head_dim": head_dim})


# Before a stretch's tokens: nothing, within a page, its border, a page before it, a full table. None: nobody's.
STARTS = {
    "singles": ([0, 3, 7, 8, 9, 16, ROOM * SIZE - 1, None], 1),
    "lanes": ([0, 1, 4, 5, 8, 20, ROOM * SIZE - 4, None], 4),
    "mixed": None,
}


def case(ways: paged.Paged, arch: Arch, kind: str, dtype, seed: int = 0) -> Case:
    """Pages in random order, written in three goes; the rest of the pool holds what nobody should read."""
    rng = np.random.default_rng(seed)
    if kind == "mixed":
        starts, runs = [5, None, 39, 12, 0, 21], ((3, 1), (3, 4))
    else:
        starts, length = STARTS[kind]
        runs = ((len(starts), length),)
    lengths = np.repeat([length for _, length in runs], [count for count, _ in runs])
    order = iter(rng.permutation(len(starts) * ROOM))
    table = np.full((len(starts), ROOM), NO_PAGE, np.int32)
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        if start is not None:
            pages = -(-(start + length) // SIZE)
            table[row, :pages] = [next(order) for _ in range(pages)]
    live = np.array([start is not None for start in starts])
    begin = np.array([start or 0 for start in starts], np.int32)
    spans = Spans(jnp.array(table), jnp.array(begin), jnp.array(live), runs)

    N, K, H = arch.num_heads, arch.num_kv_heads, arch.head_dim
    layer = jax.tree.map(lambda x: jnp.full_like(x, 50.0), ways.empty(arch, len(starts) * ROOM, SIZE, dtype))
    q_TNH = jnp.array(rng.normal(size=(lengths.sum(), N, H)), dtype)
    expected, read = [], []
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        k_TKH, v_TKH = (jnp.array(rng.normal(size=((start or 0) + length, K, H)), dtype) for _ in range(2))
        if start is not None:
            for a, b in ((0, start // 2), (start // 2, start), (start, start + length)):
                one = Spans(spans.table_RP[row : row + 1], jnp.array([a]), jnp.array([True]), ((1, b - a),))
                layer = ways.write(layer, k_TKH[a:b], v_TKH[a:b], one.places(SIZE)) if b > a else layer
        token = int(lengths[:row].sum())
        padded = jnp.pad(q_TNH[token : token + length], [(start or 0, 0), (0, 0), (0, 0)])
        whole = (x[None].astype(jnp.float32) for x in (padded, k_TKH.swapaxes(0, 1), v_TKH.swapaxes(0, 1)))
        expected.append(attention(*whole, Packed(jnp.ones((1, len(padded)), int)))[0, -length:])
        read += [start is not None] * length
    return Case(spans, layer, q_TNH, np.concatenate(expected), np.array(read))


def reference(*args, num_kv_pages_per_block=None, num_queries_per_block=None, **kwargs):
    """The library's own reference, in place of its kernel."""
    return ragged.ref_ragged_paged_attention(*args, **kwargs)


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("heads", [(4, 4, 16), (6, 2, 8), (8, 1, 16)], ids=str)
def test_plain_pages_are_plain_attention(kind, heads):
    arch = arch_of(*heads)
    made = case(paged.XLA, arch, kind, jnp.float32)
    got = np.asarray(jax.jit(lambda q, layer: paged.XLA.attend(q, layer, made.spans))(made.q_TNH, made.layer))
    np.testing.assert_allclose(got[made.read_T], made.expected_TNH[made.read_T], atol=2e-6)
    assert np.isfinite(got).all()


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("heads", [(4, 4, 128), (8, 2, 128), (4, 4, 64)], ids=str)
def test_the_kernels_pages_are_plain_attention(kind, heads, monkeypatch):
    """By the library's reference, for which nothing is traced: what the kernel is told, and what it reads."""
    monkeypatch.setattr(ragged, "ragged_paged_attention", reference)
    arch = arch_of(*heads)
    made = case(paged.KERNEL, arch, kind, jnp.float32)
    got = np.asarray(paged.KERNEL.attend(made.q_TNH, made.layer, made.spans))
    np.testing.assert_allclose(got[made.read_T], made.expected_TNH[made.read_T], atol=3e-6)


@pytest.mark.parametrize("ways", [paged.XLA, paged.KERNEL], ids=["xla", "kernel"])
def test_nobodys_tokens_and_those_without_a_page_write_nothing(ways):
    layer = ways.empty(SMALL, 3, SIZE, jnp.float32)
    new = jnp.ones((4, SMALL.num_kv_heads, SMALL.head_dim))
    table = jnp.array([[0, NO_PAGE], [1, 2]], jnp.int32)
    spans = Spans(table, jnp.array([SIZE - 1, 0]), jnp.array([True, False]), ((2, 2),))
    written = ways.write(layer, new, new, spans.places(SIZE))
    per_page = [sum(float(jnp.abs(x[page]).sum()) for x in jax.tree.leaves(written)) for page in range(3)]
    assert per_page == [2 * SMALL.num_kv_heads * SMALL.head_dim, 0, 0]


@pytest.mark.parametrize("ways", [paged.XLA, paged.KERNEL], ids=["xla", "kernel"])
def test_copies_read_before_they_write(ways):
    pool = paged.pool(ways, SMALL, 4, SIZE, jnp.float32)
    pool = jax.tree.map(lambda x: x + jnp.arange(4.0).reshape(4, 1, 1, 1), pool)
    pool = paged.copy(pool, jnp.array([0, 1, 2]), jnp.array([1, 2, NO_PAGE]))
    for x in jax.tree.leaves(pool):
        assert x[:, 0, 0, 0].tolist() == [0, 0, 1, 3]


def test_a_pages_bytes_are_what_it_takes():
    pool = paged.pool(paged.XLA, SMALL, 7, SIZE, jnp.bfloat16)
    assert 7 * paged.page_bytes(paged.XLA, SMALL, SIZE, jnp.bfloat16) == sum(x.nbytes for x in jax.tree.leaves(pool))


def test_the_kernel_is_chosen_where_it_can_be_compiled():
    seven_b = arch_of(32, 32, 128)
    assert paged.by_platform("tpu", seven_b, 8) is paged.KERNEL
    assert paged.by_platform("tpu", arch_of(9, 3, 64), 1) is paged.XLA  # SmolLM2's three heads fill no register
    assert paged.by_platform("gpu", seven_b, 8) is paged.by_platform("cpu", seven_b, 8) is paged.XLA
