"""Attention: one function for training, prefill and decoding, and the masks it is given."""

import jax
import jax.numpy as jnp


def attention(q_BTNH: jax.Array, k_BKSH: jax.Array, v_BKSH: jax.Array, mask_BTS: jax.Array) -> jax.Array:
    """Scaled dot-product attention with grouped key/value heads -> [B, T, N, H]; scores and softmax in f32.

    Keys and values come with the heads before the time, which is how a cache is read without being transposed.
    A query that may see no key (padding) gets the mean of the values, which nothing reads.
    """
    B, T, N, H = q_BTNH.shape
    K = k_BKSH.shape[1]
    q_BTKGH = (q_BTNH * H**-0.5).reshape(B, T, K, N // K, H)
    score_BKGTS = jnp.einsum("btkgh,bksh->bkgts", q_BTKGH, k_BKSH, preferred_element_type=jnp.float32)
    score_BKGTS = jnp.where(mask_BTS[:, None, None], score_BKGTS, jnp.finfo(jnp.float32).min)
    weight_BKGTS = jax.nn.softmax(score_BKGTS, axis=-1).astype(v_BKSH.dtype)
    return jnp.einsum("bkgts,bksh->btkgh", weight_BKGTS, v_BKSH).reshape(B, T, N, H)


def packed_mask(segments_BT: jax.Array) -> jax.Array:
    """[B, T, T]: causal, within a segment. Segment 0 is padding and sees nothing."""
    T = segments_BT.shape[1]
    same = segments_BT[:, :, None] == segments_BT[:, None, :]
    return same & jnp.tri(T, dtype=bool) & (segments_BT > 0)[:, :, None]


def cached_mask(positions_BT: jax.Array, length: int) -> jax.Array:
    """[B, T, S]: a query sees the cache up to and including its own position; S is the cache's `length`."""
    return jnp.arange(length) <= positions_BT[:, :, None]
