"""Attention over packed rows, as each platform does it best: one choice, equal results.

A function of this module takes queries [B, T, N, H], keys and values [B, T, K, H] and segments [B, T] (from 1; 0 is
padding), and gives [B, T, N, H]: a query sees its own segment, up to itself, or the last `window` tokens of that, with
itself. What padding gets is read by nobody, and differs. Splash and cuDNN never hold the scores of a row, which plain
XLA does, a part at a time: of 2 GiB of f32 for 4,096 tokens and 32 heads.

`cudnn` is unproven: it was compiled for a GPU, but never ran on one.
"""

from typing import Literal, Protocol

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash_kernel
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as splash_mask

from dsmath.model import remat
from dsmath.model.attention import Packed, attention, past
from dsmath.sharding import TRAINING, constrain, spec


class PackedAttention(Protocol):
    """What the functions below have in common."""

    def __call__(
        self,
        q_BTNH: jax.Array,
        k_BTKH: jax.Array,
        v_BTKH: jax.Array,
        segments_BT: jax.Array,
        *,
        window: int | None,
    ) -> jax.Array: ...


LANES = 128  # of a TPU's registers: the kernel's tiles are multiples of it
BLOCK = 512  # tokens of a tile, for queries as for keys

PARTS = 4  # of a row's queries in plain XLA, each of LANES at least: 5/8 of all scores are computed, 9/16 with 8 parts

# Keys and values are read by all queries of a row, so that they are gathered where rows are cut (the axis `context`).
_QUERIES, _KEYS = ("batch", "length", "heads", "head"), ("batch", "cache", "kv_heads", "head")


def by_platform(platform: str) -> PackedAttention:
    """The function for jax's name of a platform: splash on "tpu", cuDNN on "gpu", plain XLA elsewhere."""
    functions: dict[str, PackedAttention] = {"tpu": splash, "gpu": cudnn}
    return functions.get(platform, xla)


def xla(
    q_BTNH: jax.Array, k_BTKH: jax.Array, v_BTKH: jax.Array, segments_BT: jax.Array, *, window: int | None
) -> jax.Array:
    """Plain products, scores and softmax in f32. A part of the queries meets no key behind it, or before its window.

    Where the mesh cuts rows (`context`), each of its devices has its share of the whole: parts would move queries.
    """
    k_BKTH, v_BKTH = (constrain(x, _KEYS, TRAINING).swapaxes(1, 2) for x in (k_BTKH, v_BTKH))
    T = q_BTNH.shape[1]
    cut = jax.sharding.get_abstract_mesh().shape.get("context", 1) > 1
    size = T if cut else max(LANES, -(-T // PARTS))

    def part(start: int) -> jax.Array:
        first, end = 0 if window is None else max(0, start - window + 1), start + size
        visible = Packed(segments_BT[:, first:end], window, start - first)
        return attention(q_BTNH[:, start:end], k_BKTH[:, :, first:end], v_BKTH[:, :, first:end], visible)

    return jnp.concatenate([part(start) for start in range(0, T, size)], axis=1)


def cudnn(
    q_BTNH: jax.Array,
    k_BTKH: jax.Array,
    v_BTKH: jax.Array,
    segments_BT: jax.Array,
    *,
    window: int | None,
    implementation: Literal["cudnn", "xla"] = "cudnn",
) -> jax.Array:
    """cuDNN's flash attention, through `jax.nn.dot_product_attention`; bf16 only."""
    same = segments_BT[:, None, :, None] == segments_BT[:, None, None, :]
    T = segments_BT.shape[1]
    seen_B1TS = same & past(T, T, 0, window)
    k_BTKH, v_BTKH = (constrain(x, _KEYS, TRAINING) for x in (k_BTKH, v_BTKH))
    return jax.nn.dot_product_attention(q_BTNH, k_BTKH, v_BTKH, mask=seen_B1TS, implementation=implementation)


def splash(
    q_BTNH: jax.Array,
    k_BTKH: jax.Array,
    v_BTKH: jax.Array,
    segments_BT: jax.Array,
    *,
    window: int | None,
    interpret: bool = False,
) -> jax.Array:
    """The Pallas kernel of jax for TPUs: blocks that no query of theirs sees are skipped.

    Rows are filled up to whole tiles with padding, heads with zeros, which change no product.
    """
    mesh = jax.sharding.get_abstract_mesh()
    T, H = q_BTNH.shape[1], q_BTNH.shape[3]
    scaled_BTNH = q_BTNH * jnp.asarray(H**-0.5, q_BTNH.dtype)
    q_BNTH, k_BKTH, v_BKTH = (
        jnp.pad(x, [(0, 0), (0, -T % LANES), (0, 0), (0, -H % LANES)]).swapaxes(1, 2)
        for x in (scaled_BTNH, k_BTKH, v_BTKH)
    )
    segments_BT = jnp.pad(segments_BT, [(0, 0), (0, -T % LANES)])
    kernel = _splash_kernel(
        q_BNTH.shape[1],
        q_BNTH.shape[2],
        window,
        head_shards=mesh.shape.get("tensor", 1),
        q_seq_shards=mesh.shape.get("context", 1),
        interpret=interpret,
    )

    def rows(kernel, q_BNTH, k_BKTH, v_BKTH, segments_BT, all_segments_BS):
        ids = splash_kernel.SegmentIds(segments_BT, all_segments_BS)
        return jax.vmap(kernel)(q_BNTH, k_BKTH, v_BKTH, ids)

    if not mesh.empty:
        # XLA can't split a kernel by itself.
        queries, keys = (spec((names[0], names[2], names[1], names[3]), TRAINING) for names in (_QUERIES, _KEYS))
        cut = jax.sharding.NamedSharding(mesh, spec(("heads", "length"), TRAINING))
        rows = jax.shard_map(
            rows,
            mesh=mesh,
            in_specs=(
                kernel.manual_sharding_spec(cut),
                *(queries, keys, keys),
                spec(("batch", "length"), TRAINING),
                spec(("batch", "cache"), TRAINING),
            ),
            out_specs=queries,
            check_vma=False,  # a Pallas call does not say over which axes its result varies
        )
    o_BNTH = rows(kernel, q_BNTH, k_BKTH, v_BKTH, segments_BT, segments_BT)
    return o_BNTH.swapaxes(1, 2)[:, :T, :, :H]


def _splash_kernel(
    heads: int, length: int, window: int | None, *, head_shards: int, q_seq_shards: int, interpret: bool
) -> splash_kernel.SplashAttentionKernel:
    part = length // q_seq_shards
    block = next(size for size in range(BLOCK, 0, -LANES) if part % size == 0)
    shape = (length, length)
    mask = splash_mask.CausalMask(shape) if window is None else splash_mask.LocalMask(shape, (window - 1, 0), offset=0)
    return splash_kernel.make_splash_mha(
        splash_mask.MultiHeadMask([mask] * heads),
        block_sizes=splash_kernel.BlockSizes(
            block_q=block,
            block_kv=block,
            block_q_dkv=block,
            block_kv_dkv=block,
            block_q_dq=block,
            block_kv_dq=block,
        ),
        head_shards=head_shards,
        q_seq_shards=q_seq_shards,
        residual_checkpoint_name=remat.ATTENTION,
        interpret=interpret,
    )
