"""Attention over packed rows, plainly: what the kernels of training must equal."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Packed(NamedTuple):
    """Rows of several segments: a query sees its own segment, up to itself. Segment 0 is padding and sees nothing.

    With a window it sees so many tokens, itself included. Queries may be the last of a row's tokens only: the first of
    them stands at `start`.
    """

    segments_BS: jax.Array
    window: int | None
    start: int = 0


def attention(q_BTNH: jax.Array, k_BKSH: jax.Array, v_BKSH: jax.Array, visible: Packed) -> jax.Array:
    """Scaled dot-product attention with grouped key/value heads -> [B, T, N, H]; scores and softmax in f32.

    Keys and values come with the heads before the time.
    A query that may see no key (padding) gets the mean of the values, which nothing reads.
    """
    B, T, N, H = q_BTNH.shape
    K, S = k_BKSH.shape[1:3]
    # Query heads of one key/value head and the query times are one axis: a batch of plain matrix products.
    q_BKQH = q_BTNH.swapaxes(1, 2).reshape(B, K, N // K * T, H)
    score_BKQS = jnp.einsum("bkqh,bksh->bkqs", q_BKQH, k_BKSH, preferred_element_type=jnp.float32)
    score_BNTS = score_BKQS.reshape(B, N, T, S) * H**-0.5  # here, in f32: scaling queries in bf16 rounds them once more
    mask_BTS = mask(visible, S)
    weight_BNTS = jax.nn.softmax(jnp.where(mask_BTS[:, None], score_BNTS, jnp.finfo(jnp.float32).min), axis=-1)
    weight_BKQS = weight_BNTS.reshape(score_BKQS.shape).astype(v_BKSH.dtype)
    o_BKQH = jnp.einsum("bkqs,bksh->bkqh", weight_BKQS, v_BKSH)
    return o_BKQH.reshape(B, N, T, H).swapaxes(1, 2)


def mask(visible: Packed, keys: int) -> jax.Array:
    """What each query sees of so many keys, as a dense mask [B, T, S]."""
    segments_BS, window, start = visible
    segments_BT = segments_BS[:, start:]
    same_BTS = segments_BT[:, :, None] == segments_BS[:, None, :]
    past_TS = past(keys - start, keys, start, window)
    return same_BTS & past_TS & (segments_BT > 0)[:, :, None]


def past(queries: int, keys: int, start: int, window: int | None) -> jax.Array:
    """The keys up to each query, no more than a window of them, as a mask [T, S]; the first query stands at `start`."""
    past_TS = jnp.tri(queries, keys, start, dtype=bool)
    return past_TS if window is None else past_TS & ~jnp.tri(queries, keys, start - window, dtype=bool)
