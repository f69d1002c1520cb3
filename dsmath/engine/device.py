"""The device programs of the engine: pure functions over a cache. `Engine` jits them and donates the cache.

Slots are the cache's rows (axis B of `decode`). An extension is cut into lanes of a fixed number of tokens, several of
which may belong to one slot, so that one compiled program serves prompts of any length.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dsmath.config import Arch
from dsmath.engine import sampling
from dsmath.model import cache as caches
from dsmath.model import decoder
from dsmath.model.cache import Cache


class Lanes(NamedTuple):
    """Stretches of new tokens, one per row (axis B of `extend`)."""

    tokens_BT: np.ndarray
    slot_B: np.ndarray  # past the last slot for a lane that is not used
    start_B: np.ndarray  # tokens that stand before the lane in its sequence
    last_B: np.ndarray  # index in the lane of the last token of a whole extension; -1 where another lane follows


def extend(
    params: decoder.Params,
    cache: Cache,
    token_by_slot: jax.Array,
    lanes: Lanes,
    draws: sampling.Draws | None,
    *,
    arch: Arch,
) -> tuple[Cache, jax.Array]:
    """Write lanes into the cache -> the cache, and each slot's last token, new where an extension ended."""
    hidden_BTD, cache = decoder.extend(params, lanes.tokens_BT, lanes.start_B, cache, arch=arch, rows_B=lanes.slot_B)
    last_BTD = jnp.take_along_axis(hidden_BTD, jnp.maximum(lanes.last_B, 0)[:, None, None], axis=1)
    logits_BV = decoder.logits(params, last_BTD)[:, 0]
    token_B = sampling.sample(logits_BV, draws, lanes.start_B + lanes.last_B + 1)
    slot_B = jnp.where(lanes.last_B >= 0, lanes.slot_B, token_by_slot.shape[0])
    return cache, token_by_slot.at[slot_B].set(token_B, mode="drop")


def decode(
    params: decoder.Params,
    cache: Cache,
    token_B: jax.Array,
    length_B: jax.Array,
    left_B: jax.Array,
    draws: sampling.Draws | None,
    *,
    arch: Arch,
    steps: int,
    ends: tuple[int, ...],
) -> tuple[Cache, jax.Array, jax.Array]:
    """Up to `steps` tokens for each slot -> the cache, each slot's last token, and all tokens [steps, B].

    `token_B` is the last token of a slot, which is not yet among the `length_B` in its cache. A slot stands still once
    its last token is one of `ends` or nothing is `left_B`: its tokens are -1 and its cache stays as it is. Whether
    it does follows from what the slot holds now, so nothing of a past occupant can stop it.
    """
    beyond = caches.length(cache)

    def alive(token_B, left_B):
        return (left_B > 0) & ~jnp.isin(token_B, jnp.array(ends, jnp.int32))

    def going_on(carry):
        step, _, token_B, _, left_B, _ = carry
        return (step < steps) & jnp.any(alive(token_B, left_B))

    def one(carry):
        step, cache, token_B, length_B, left_B, out_TB = carry
        alive_B = alive(token_B, left_B)
        start_B = jnp.where(alive_B, length_B, beyond)
        hidden_BTD, cache = decoder.extend(params, token_B[:, None], start_B, cache, arch=arch)
        new_B = sampling.sample(decoder.logits(params, hidden_BTD)[:, 0], draws, length_B + 1)
        out_TB = out_TB.at[step].set(jnp.where(alive_B, new_B, -1))
        token_B = jnp.where(alive_B, new_B, token_B)
        return step + 1, cache, token_B, length_B + alive_B, left_B - alive_B, out_TB

    out_TB = jnp.full((steps, token_B.shape[0]), -1, jnp.int32)
    _, cache, token_B, _, _, out_TB = jax.lax.while_loop(going_on, one, (0, cache, token_B, length_B, left_B, out_TB))
    return cache, token_B, out_TB
