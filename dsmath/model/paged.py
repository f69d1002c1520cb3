"""The cache of keys and values: a pool of pages per layer, which each platform keeps and reads in its own way.

A page holds the keys and values of some tokens on end of one sequence; a table says which pages a sequence has. New
tokens come as stretches of sequences, laid end to end along one axis, so that prompts and single tokens go through the
model together. Every layer writes all its new keys and values before it reads any.

Where a model's attention has a window, pages before it stay their sequence's: they can be read again by other sequences
that begin alike, and accounts of pages needn't know of windows. `XLA` doesn't read them, `KERNEL` does.

The choices give equal results: `XLA`, plain products over a page of each sequence at a time, and `KERNEL`, jax's Pallas
kernel for TPUs.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.pallas.ops.tpu import ragged_paged_attention as ragged

from dsmath.config import Arch
from dsmath.sharding import DECODING, Axes, spec

Layer = Any  # one layer's pages: arrays with the pages on their first axis
Pool = tuple[Layer, ...]

NO_PAGE = np.iinfo(np.int32).max  # in tables: what is written there is dropped

_HEADS: Axes = (None, "heads", "head")  # of queries [T, N, H]


class Spans(NamedTuple):
    """Stretches of new tokens: R of them, T tokens in all."""

    table_RP: jax.Array  # the pages of each stretch's sequence, in order; NO_PAGE where there is none
    start_R: jax.Array  # tokens of the sequence before it
    live_R: jax.Array  # whether it is anybody's: what the others give is read by nobody, and they write nothing
    runs: tuple[tuple[int, int], ...]  # (stretches, tokens of each), one run behind the other

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each stretch [R]."""
        return np.repeat([length for _, length in self.runs], [count for count, _ in self.runs])

    @property
    def rows_T(self) -> np.ndarray:
        """The stretch of each token."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @property
    def positions_T(self) -> jax.Array:
        """Where each token stands in its sequence."""
        within_T = np.concatenate([np.arange(length) for length in self.lengths])
        return self.start_R[self.rows_T] + within_T

    def places(self, size: int) -> tuple[jax.Array, jax.Array]:
        """The page of each token, and its place in it [T]; the page is none where the token isn't to be written."""
        rows_T, positions_T, room = self.rows_T, self.positions_T, self.table_RP.shape[1]
        nth_T = positions_T // size
        written_T = self.live_R[rows_T] & (nth_T < room)
        page_T = jnp.where(written_T, self.table_RP[rows_T, jnp.minimum(nth_T, room - 1)], NO_PAGE)
        return page_T, positions_T % size


class Paged(NamedTuple):
    """A way to keep pages: functions that agree on what a layer's pages are."""

    page_tokens: int
    empty: Callable[[Arch, int, int, jax.typing.DTypeLike], Layer]  # architecture, pages, tokens of each, type
    axes: Any  # names, in the tree of `empty`
    write: Callable[[Layer, jax.Array, jax.Array, tuple[jax.Array, jax.Array]], Layer]  # [T, K, H] at their places
    attend: Callable[[jax.Array, Layer, Spans, int | None], jax.Array]  # queries [T, N, H], with a window -> [T, N, H]
    size: Callable[[Layer], int]  # tokens of a page


def by_platform(platform: str, arch: Arch, tensor: int) -> Paged:
    """The way for jax's name of a platform, with heads split over so many devices.

    The kernel on "tpu", unless it can't be compiled for so many heads of a device; plain XLA elsewhere.
    """
    return KERNEL if platform == "tpu" and _suits_kernel(arch.num_kv_heads // tensor) else XLA


def pool(paged: Paged, arch: Arch, pages: int, size: int, dtype: jax.typing.DTypeLike) -> Pool:
    """So many empty pages of `size` tokens for each layer."""
    return tuple(paged.empty(arch, pages, size, dtype) for _ in range(arch.num_layers))


def axes(paged: Paged, arch: Arch) -> tuple[Any, ...]:
    """Axis names of a pool, in the tree of `pool`."""
    return (paged.axes,) * arch.num_layers


def page_bytes(paged: Paged, arch: Arch, size: int, dtype: jax.typing.DTypeLike) -> int:
    """What a page takes in all layers."""
    shapes = jax.eval_shape(lambda: pool(paged, arch, 1, size, dtype))
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(shapes))


def copy(pool: Pool, source_C: jax.Array, target_C: jax.Array) -> Pool:
    """The pool with some of its pages copied to others; all are read before any is written."""
    return jax.tree.map(lambda x: x.at[target_C].set(x.at[source_C].get(mode="clip"), mode="drop"), pool)


# Plain XLA: keys and values [P, K, S, H], P pages of S tokens.


def _empty(arch: Arch, pages: int, size: int, dtype: jax.typing.DTypeLike) -> Layer:
    shape = (pages, arch.num_kv_heads, size, arch.head_dim)
    return jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)


def _write(layer: Layer, k_TKH: jax.Array, v_TKH: jax.Array, places: tuple[jax.Array, jax.Array]) -> Layer:
    page_T, place_T = places
    return tuple(
        x_PKSH.at[page_T, :, place_T].set(new_TKH, mode="drop")
        for x_PKSH, new_TKH in zip(layer, (k_TKH, v_TKH), strict=True)
    )


def _attend(q_TNH: jax.Array, layer: Layer, spans: Spans, window: int | None) -> jax.Array:
    done, row, token = [], 0, 0
    for count, length in spans.runs:
        q_RTNH = q_TNH[token : token + count * length].reshape(count, length, *q_TNH.shape[1:])
        table_RP, start_R, live_R = (x[row : row + count] for x in spans[:3])
        o_RTNH = _sweep(q_RTNH, layer, table_RP, start_R, live_R, window)
        done.append(o_RTNH.reshape(-1, *q_TNH.shape[1:]))
        row, token = row + count, token + count * length
    return jnp.concatenate(done)


def _sweep(
    q_RTNH: jax.Array,
    layer: Layer,
    table_RP: jax.Array,
    start_R: jax.Array,
    live_R: jax.Array,
    window: int | None,
) -> jax.Array:
    """Attention a page of every sequence at a time, with a running maximum and sum: what was gathered stays in a CPU's
    cache, and nothing is as long as the longest sequence. Pages before all windows are skipped.
    """
    R, T, N, H = q_RTNH.shape
    k_PKSH, v_PKSH = layer
    K, S = k_PKSH.shape[1:3]
    # Query heads of one key/value head and the query times are one axis: a batch of plain matrix products.
    q_RKQH = q_RTNH.swapaxes(1, 2).reshape(R, K, N // K * T, H)
    end_RQ = jnp.tile(start_R[:, None] + jnp.arange(T), (1, N // K))

    def page(i, carry):
        max_RKQ, sum_RKQ, o_RKQH = carry
        page_R = jax.lax.dynamic_index_in_dim(table_RP, i, axis=1, keepdims=False)
        k_RKSH, v_RKSH = (x.at[page_R].get(mode="clip") for x in (k_PKSH, v_PKSH))
        score_RKQS = jnp.einsum("rkqh,rksh->rkqs", q_RKQH, k_RKSH, preferred_element_type=jnp.float32) * H**-0.5
        seen_RQS = i * S + jnp.arange(S) <= end_RQ[:, :, None]
        if window is not None:  # what a query sums up of pages before its window, its first key takes times 0
            seen_RQS &= i * S + jnp.arange(S) > end_RQ[:, :, None] - window
        score_RKQS = jnp.where(seen_RQS[:, None], score_RKQS, jnp.finfo(jnp.float32).min)
        new_RKQ = jnp.maximum(max_RKQ, score_RKQS.max(-1))
        weight_RKQS, kept_RKQ = jnp.exp(score_RKQS - new_RKQ[..., None]), jnp.exp(max_RKQ - new_RKQ)
        part_RKQH = jnp.einsum(
            "rkqs,rksh->rkqh", weight_RKQS.astype(v_RKSH.dtype), v_RKSH, preferred_element_type=jnp.float32
        )
        return new_RKQ, sum_RKQ * kept_RKQ + weight_RKQS.sum(-1), o_RKQH * kept_RKQ[..., None] + part_RKQH

    most = jnp.minimum((jnp.max(start_R) + T - 1) // S + 1, table_RP.shape[1])
    least: int | jax.Array = 0
    if window is not None:
        least = jnp.maximum(jnp.min(jnp.where(live_R, start_R, jnp.max(start_R))) - window + 1, 0) // S
    nothing_RKQ = jnp.full(q_RKQH.shape[:3], jnp.finfo(jnp.float32).min)
    carry = nothing_RKQ, jnp.zeros_like(nothing_RKQ), jnp.zeros(q_RKQH.shape, jnp.float32)
    _, sum_RKQ, o_RKQH = jax.lax.fori_loop(least, most, page, carry)
    o_RKQH = (o_RKQH / sum_RKQ[..., None]).astype(q_RTNH.dtype)
    return o_RKQH.reshape(R, N, T, H).swapaxes(1, 2)


# On a CPU a page is gathered, which costs per sequence and page rather than per token: pages are large.
XLA = Paged(
    page_tokens=128,
    empty=_empty,
    axes=(("pages", "kv_heads", "cache", "head"),) * 2,
    write=_write,
    attend=_attend,
    size=lambda layer: layer[0].shape[2],
)


# The kernel: pages [P, S, C, H], with keys and values of each head next to each other along C, heads filled up to H.

_LANES = 128  # of a TPU's registers
_PAGES_PER_BLOCK, _QUERIES_PER_BLOCK = 8, 32


def _kernel_empty(arch: Arch, pages: int, size: int, dtype: jax.typing.DTypeLike) -> Layer:
    return jnp.zeros((pages, size, 2 * arch.num_kv_heads, _filled(arch.head_dim)), dtype)


def _kernel_write(layer: Layer, k_TKH: jax.Array, v_TKH: jax.Array, places: tuple[jax.Array, jax.Array]) -> Layer:
    T, K, H = k_TKH.shape
    new_TCH = jnp.stack([k_TKH, v_TKH], axis=2).reshape(T, 2 * K, H)
    return layer.at[places].set(_fill(new_TCH), mode="drop")


def _kernel_attend(q_TNH: jax.Array, layer: Layer, spans: Spans, window: int | None) -> jax.Array:
    H = q_TNH.shape[2]
    kernel = ragged.ragged_paged_attention
    kv_lens_R, table_RP, ends = kernel_spans(spans, layer.shape[0])

    def attend(q_TNH, layer, kv_lens_R, table_RP):
        return kernel(
            q_TNH,
            layer,
            kv_lens_R,
            table_RP,
            jnp.asarray(ends),
            jnp.array([len(ends) - 1], jnp.int32),
            sm_scale=H**-0.5,
            sliding_window=window,
            num_kv_pages_per_block=min(_PAGES_PER_BLOCK, table_RP.shape[1]),
            num_queries_per_block=_QUERIES_PER_BLOCK,
        )

    mesh = jax.sharding.get_abstract_mesh()
    if not mesh.empty:  # XLA can't split a kernel by itself
        queries, pages = spec(_HEADS, DECODING), spec(KERNEL.axes, DECODING)
        whole = jax.sharding.PartitionSpec()
        attend = jax.shard_map(
            attend, mesh=mesh, in_specs=(queries, pages, whole, whole), out_specs=queries, check_vma=False
        )
    return attend(_fill(q_TNH), layer, kv_lens_R, table_RP)[:, :, :H]


def kernel_spans(spans: Spans, pages: int) -> tuple[jax.Array, jax.Array, np.ndarray]:
    """How the kernel is told the spans: tokens of each sequence with its stretch [R], tables [R, P] whose pages are all
    there, ends of stretches along T [R + 1].

    A stretch's tokens must be the last of the sequence: where it is filled up, what fills it counts.
    """
    kv_lens_R = spans.start_R + spans.lengths.astype(np.int32)
    ends = np.concatenate([[0], np.cumsum(spans.lengths)]).astype(np.int32)
    return kv_lens_R, jnp.clip(spans.table_RP, 0, pages - 1), ends


def _suits_kernel(kv_heads: int) -> bool:
    """Whether the kernel can be compiled for so many key/value heads of a device, in bf16."""
    return kv_heads in (1, 2, 4, 8) or kv_heads % 8 == 0  # keys and values of two heads share a row of registers


def _filled(head_dim: int) -> int:
    return -(-head_dim // _LANES) * _LANES


def _fill(x: jax.Array) -> jax.Array:
    return jnp.pad(x, [(0, 0), (0, 0), (0, _filled(x.shape[2]) - x.shape[2])])


KERNEL = Paged(
    page_tokens=32,
    empty=_kernel_empty,
    axes=("pages", "cache", "kv_heads", "head"),
    write=_kernel_write,
    attend=_kernel_attend,
    size=lambda layer: layer.shape[1],
)
