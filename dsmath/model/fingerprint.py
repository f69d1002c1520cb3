"""A short name for the values of a set of weights, the same on every mesh."""

import hashlib

import jax
import jax.numpy as jnp

CHARACTERS = 12
_ODD = 2654435761  # spreads positions over 32 bits: Knuth's multiplicative hash


def fingerprint(params) -> str:
    """Hexadecimal digits that change with any value, shape, type or name in a tree of arrays.

    Each array is summed on its devices, in integers that wrap around, so that neither sharding nor the order of
    summation matters. It tells checkpoints apart; it is no defence against someone who wants two to look alike.
    """
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        sums = [int(s) for s in _sums(leaf)]
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype} {sums}\n".encode())
    return digest.hexdigest()[:CHARACTERS]


@jax.jit
def _sums(array: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The wrapped sums of an array's bits, plain and weighted by position."""
    unsigned = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[array.dtype.itemsize]
    bits = jax.lax.bitcast_convert_type(array, unsigned).astype(jnp.uint32)
    position = jnp.zeros(array.shape, jnp.uint32)
    for axis, size in enumerate(array.shape):
        position = position * jnp.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, array.shape, axis)
    weight = position * jnp.uint32(_ODD) + jnp.uint32(1)
    return jnp.sum(bits, dtype=jnp.uint32), jnp.sum(bits * (weight ^ (weight >> 15)), dtype=jnp.uint32)
