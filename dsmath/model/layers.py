"""The parts of a decoder layer, as functions of arrays. Llama: RMSNorm, rotary positions, SwiGLU (arXiv 2302.13971)."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from dsmath.config import RopeScaling

SCALINGS = ("linear", "llama3")  # kinds of `RopeScaling`


def rms_norm(x_BTD: jax.Array, scale_D: jax.Array, *, eps: float) -> jax.Array:
    """Root-mean-square normalisation, in f32 (arXiv 1910.07467)."""
    x = x_BTD.astype(jnp.float32)
    x = x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps)
    return x.astype(x_BTD.dtype) * scale_D


def frequencies(dims: int, *, theta: float, scaling: RopeScaling | None) -> np.ndarray:
    """Radians per position of each of the pairs of `dims` dimensions, in f32, as `transformers` has them."""
    half = dims // 2
    frequency = theta ** (-np.arange(half) / half)  # in f64: XLA's f32 powers are coarse
    if scaling is not None and scaling.kind == "linear":
        frequency = frequency / scaling.factor
    elif scaling is not None:  # llama3: the share of each that isn't divided goes from 0 to 1 between two wavelengths
        low, high, positions = scaling.low_freq_factor, scaling.high_freq_factor, scaling.original_positions
        assert low is not None  # `decoder.check` sees to these
        assert high is not None
        assert positions is not None
        kept = np.clip((positions * frequency / (2 * math.pi) - low) / (high - low), 0, 1)
        frequency = frequency * (kept + (1 - kept) / scaling.factor)
    return frequency.astype(np.float32)


def rope(x_BTNH: jax.Array, positions_BT: jax.Array, *, frequency: np.ndarray) -> jax.Array:
    """Rotary position embedding (arXiv 2104.09864) on half-split pairs (i, i + d/2), as in HF checkpoints; in f32.

    The first d dimensions of each head turn, two for each frequency; the others pass.
    """
    half, H = len(frequency), x_BTNH.shape[-1]
    angle = positions_BT[:, :, None, None].astype(jnp.float32) * frequency
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    first, second, *rest = jnp.split(x_BTNH.astype(jnp.float32), 2 if 2 * half == H else [half, 2 * half], axis=-1)
    rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin, *rest], axis=-1)
    return rotated.astype(x_BTNH.dtype)


def swiglu(x_BTD: jax.Array, gate_FD: jax.Array, up_FD: jax.Array, down_DF: jax.Array) -> jax.Array:
    """The gated feed-forward layer (arXiv 2002.05202)."""
    h_BTF = jax.nn.silu(jnp.einsum("btd,fd->btf", x_BTD, gate_FD)) * jnp.einsum("btd,fd->btf", x_BTD, up_FD)
    return jnp.einsum("btf,df->btd", h_BTF, down_DF)
