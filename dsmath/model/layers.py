"""The parts of a decoder layer, as functions of arrays. Llama: RMSNorm, rotary positions, SwiGLU (arXiv 2302.13971)."""

import jax
import jax.numpy as jnp
import numpy as np


def rms_norm(x_BTD: jax.Array, scale_D: jax.Array, *, eps: float) -> jax.Array:
    """Root-mean-square normalisation, in f32 (arXiv 1910.07467)."""
    x = x_BTD.astype(jnp.float32)
    x = x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps)
    return x.astype(x_BTD.dtype) * scale_D


def rope(x_BTNH: jax.Array, positions_BT: jax.Array, *, theta: float) -> jax.Array:
    """Rotary position embedding (arXiv 2104.09864) on half-split pairs (i, i + H/2), as in HF checkpoints; in f32."""
    half = x_BTNH.shape[-1] // 2
    frequency = (theta ** (-np.arange(half) / half)).astype(np.float32)  # powers in f64: XLA's f32 ones are coarse
    angle = positions_BT[:, :, None, None].astype(jnp.float32) * frequency
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    first, second = jnp.split(x_BTNH.astype(jnp.float32), 2, axis=-1)
    rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return rotated.astype(x_BTNH.dtype)


def swiglu(x_BTD: jax.Array, gate_FD: jax.Array, up_FD: jax.Array, down_DF: jax.Array) -> jax.Array:
    """The gated feed-forward layer (arXiv 2002.05202)."""
    h_BTF = jax.nn.silu(jnp.einsum("btd,fd->btf", x_BTD, gate_FD)) * jnp.einsum("btd,fd->btf", x_BTD, up_FD)
    return jnp.einsum("btf,df->btd", h_BTF, down_DF)
