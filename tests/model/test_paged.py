"""Attention over pages, in each platform's way, against plain attention over each sequence alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.pallas.mosaic.interpret import shared_memory
from jax.experimental.pallas import tpu as pltpu
from jax.experimental.pallas.ops.tpu.ragged_paged_attention import kernel

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
    "late": ([24, 28, None, 25], 3),
    "mixed": None,
}


def case(ways: paged.Paged, arch: Arch, kind: str, dtype, window: int | None, seed: int = 0) -> Case:
    """Pages in random order, written in three goes; the rest of the pool holds what nobody should read."""
    rng = np.random.default_rng(seed)
    if kind == "mixed":
        starts, runs = [5, None, 39, 12, 0, 21], ((3, 1), (3, 4))
    else:
        starts, length = STARTS[kind]
        runs = ((len(starts), length),)
    rows, live = len(starts), np.array([start is not None for start in starts])
    begin_R = np.array([start or 0 for start in starts], np.int32)
    lengths_R = np.repeat([length for _, length in runs], [count for count, _ in runs])
    needed_RP = np.arange(ROOM) * SIZE < (begin_R + lengths_R)[:, None]
    table_RP = np.where(needed_RP & live[:, None], rng.permutation(rows * ROOM).reshape(rows, ROOM), NO_PAGE)
    spans = Spans(jnp.array(table_RP, jnp.int32), jnp.array(begin_R), jnp.array(live), runs)

    N, K, H, S = arch.num_heads, arch.num_kv_heads, arch.head_dim, ROOM * SIZE
    q_RSNH, k_RSKH, v_RSKH = (jnp.array(rng.normal(size=(rows, S, heads, H)), dtype) for heads in (N, K, K))
    layer = jax.tree.map(lambda x: jnp.full_like(x, 50.0), ways.empty(arch, rows * ROOM, SIZE, dtype))
    for go_R in (
        np.zeros_like(begin_R),
        begin_R // 2,
        begin_R,
    ):  # what a go writes past the next one's start is padding
        one = Spans(spans.table_RP, jnp.array(go_R), spans.live_R, ((rows, S),))
        at_RS = np.minimum(go_R[:, None] + np.arange(S), S - 1)
        k_TKH, v_TKH = (x[np.arange(rows)[:, None], at_RS].reshape(-1, K, H) for x in (k_RSKH, v_RSKH))
        layer = jax.jit(ways.write)(layer, k_TKH, v_TKH, one.places(SIZE))

    rows_T, at_T = spans.rows_T, np.asarray(spans.positions_T)
    whole = (x.astype(jnp.float32) for x in (q_RSNH, k_RSKH.swapaxes(1, 2), v_RSKH.swapaxes(1, 2)))
    expected_RSNH = attention(*whole, Packed(jnp.ones((rows, S), int), window))
    return Case(spans, layer, q_RSNH[rows_T, at_T], np.asarray(expected_RSNH)[rows_T, at_T], live[rows_T])


class Loaded:
    """What a kernel's reference to memory holds. jax's interpreter reads no reference that was reshaped or bitcast."""

    def __init__(self, x: jax.Array):
        self._x = x

    @property
    def dtype(self):
        return self._x.dtype

    def reshape(self, *shape: int) -> "Loaded":
        return Loaded(self._x.reshape(*shape))

    def bitcast(self, dtype) -> "Loaded":
        return Loaded(pltpu.bitcast(self._x, dtype))

    def __getitem__(self, index) -> jax.Array:
        return self._x[index]


@pytest.fixture
def interpreted(monkeypatch):
    """jax's kernel for TPUs runs here, step by step. What its interpreter gets wrong is mended: see `Loaded`; and it
    applies a mask of several axes along the first one.
    """
    wait, swap = kernel.MultiPageAsyncCopyDescriptor.wait, shared_memory.SharedMemory.swap_buffer_content

    def masked(self, key, rnge, value, mask, *args, **kwargs):
        if mask is not None:
            value = np.where(mask, value, self.mem[key][rnge])
        return swap(self, key, rnge, value, None, *args, **kwargs)

    monkeypatch.setattr(kernel.MultiPageAsyncCopyDescriptor, "wait", lambda self: Loaded(wait(self)[...]))
    monkeypatch.setattr(shared_memory.SharedMemory, "swap_buffer_content", masked)
    with pltpu.force_tpu_interpret_mode():
        yield


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("heads", [(4, 4, 16), (6, 2, 8), (8, 1, 16)], ids=str)
@pytest.mark.parametrize("window", [None, 1, SIZE + 5])
def test_plain_pages_are_plain_attention(kind, heads, window):
    arch = arch_of(*heads)
    made = case(paged.XLA, arch, kind, jnp.float32, window)
    got = np.asarray(jax.jit(lambda q, layer: paged.XLA.attend(q, layer, made.spans, window))(made.q_TNH, made.layer))
    np.testing.assert_allclose(got[made.read_T], made.expected_TNH[made.read_T], atol=2e-6)
    assert np.isfinite(got).all()


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize(
    ("heads", "dtype", "atol", "window"),
    [
        ((4, 4, 128), jnp.bfloat16, 0.02, None),
        ((4, 4, 128), jnp.bfloat16, 0.02, SIZE + 5),
        ((8, 2, 128), jnp.float32, 3e-6, None),
        ((8, 2, 128), jnp.float32, 3e-6, 6),
        ((4, 4, 64), jnp.float32, 3e-6, None),
    ],
    ids=str,
)
def test_the_kernel_is_plain_attention(kind, heads, dtype, atol, window, interpreted):
    made = case(paged.KERNEL, arch_of(*heads), kind, dtype, window)
    got = np.asarray(paged.KERNEL.attend(made.q_TNH, made.layer, made.spans, window), np.float32)
    np.testing.assert_allclose(got[made.read_T], made.expected_TNH[made.read_T], atol=atol)


def test_plain_pages_before_all_windows_are_not_read():
    """What lies there reaches nothing, be it no numbers; the row that is nobody's, which begins at 0, asks for none."""
    window, first = 6, min(start for start in STARTS["late"][0] if start is not None)
    made = case(paged.XLA, arch_of(4, 2, 16), "late", jnp.float32, window)
    before = made.spans.table_RP[:, : (first - window + 1) // SIZE]
    layer = tuple(x.at[before].set(jnp.nan, mode="drop") for x in made.layer)
    got = np.asarray(paged.XLA.attend(made.q_TNH, layer, made.spans, window))
    np.testing.assert_allclose(got[made.read_T], made.expected_TNH[made.read_T], atol=2e-6)
    assert not np.isfinite(paged.XLA.attend(made.q_TNH, layer, made.spans, None)[made.read_T]).any()


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
