"""The cache of keys and values: the only file that knows how it lies in memory.

A row holds a sequence. Heads come before the time, so that attention reads a row without transposing it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dsmath.config import Arch
from dsmath.sharding import Axes

Pair = tuple[jax.Array, jax.Array]  # keys and values [B, K, S, H]
Cache = tuple[Pair, ...]  # per layer


def empty(arch: Arch, rows: int, length: int, dtype: jax.typing.DTypeLike) -> Cache:
    """A cache of zeros for so many sequences of up to `length` tokens."""
    shape = (rows, arch.num_kv_heads, length, arch.head_dim)
    return tuple((jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)) for _ in range(arch.num_layers))


def axes(arch: Arch) -> tuple[tuple[Axes, Axes], ...]:
    """Axis names of a cache, in the tree of `empty`."""
    return ((("batch", "kv_heads", "cache", "head"),) * 2,) * arch.num_layers


def length(cache: Cache) -> int:
    """Tokens that a row has room for."""
    return cache[0][0].shape[2]


def write(pair: Pair, new: Pair, rows_B: jax.Array | np.ndarray | None, positions_BT: jax.Array) -> Pair:
    """One layer with new keys and values [B, T, K, H] at their positions; what falls off the end is dropped.

    `rows_B` says which row of the cache each row goes to, by default its own.
    """

    def one(cache_BKSH: jax.Array, new_BTKH: jax.Array) -> jax.Array:
        rows = jnp.arange(cache_BKSH.shape[0]) if rows_B is None else rows_B
        return cache_BKSH.at[rows[:, None], :, positions_BT].set(new_BTKH, mode="drop")

    return one(pair[0], new[0]), one(pair[1], new[1])


def read(pair: Pair, rows_B: jax.Array | np.ndarray | None) -> Pair:
    """The keys and values [B, K, S, H] of these rows, by default of all."""
    if rows_B is None:
        return pair
    return pair[0].at[rows_B].get(mode="clip"), pair[1].at[rows_B].get(mode="clip")


def resize(cache: Cache, *, length: int) -> Cache:
    """The cache with room for `length` tokens a row: what is cut off must hold no token that is still needed."""

    def one(x_BKSH: jax.Array) -> jax.Array:
        more = length - x_BKSH.shape[2]
        return jnp.pad(x_BKSH, ((0, 0), (0, 0), (0, more), (0, 0))) if more > 0 else x_BKSH[:, :, :length]

    return jax.tree.map(one, cache)
