"""Drawing the next token: greedy, temperature, top-k and top-p, each row with its own numbers.

The key of a draw is made of (seed, request, position) alone, so that neither the batch nor a restart changes a sample.
"""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dsmath.text.generator import Sampling


class Draws(NamedTuple):
    """Per row, how its tokens are drawn (`dsmath.text.generator.Sampling`), and what its keys are made of."""

    temperature_B: jax.Array | np.ndarray  # f32; 0 is greedy
    top_p_B: jax.Array | np.ndarray  # f32
    top_k_B: jax.Array | np.ndarray  # i32; 0 keeps all
    seed_B: jax.Array | np.ndarray  # u32
    request_B: jax.Array | np.ndarray  # u32: `request_hash`


def request_hash(id: str) -> int:
    """32 bits of a request's id, the same in every process (CRC-32)."""
    return zlib.crc32(id.encode())


def draws(rows: Sequence[tuple[Sampling, str] | None]) -> Draws | None:
    """The Draws of rows (sampling, request id), None if all are greedy. A row that is None is one that nobody reads."""
    if all(row is None or row[0].temperature == 0 for row in rows):
        return None
    nobody = (Sampling(temperature=0.0, top_p=1.0, top_k=None, seed=0), "")
    samplings, ids = zip(*(row or nobody for row in rows), strict=True)
    return Draws(
        temperature_B=np.array([s.temperature for s in samplings], np.float32),
        top_p_B=np.array([s.top_p for s in samplings], np.float32),
        top_k_B=np.array([s.top_k or 0 for s in samplings], np.int32),
        seed_B=np.array([s.seed % 2**32 for s in samplings], np.uint32),
        request_B=np.array([request_hash(id) for id in ids], np.uint32),
    )


def sample(logits_BV: jax.Array, draws: Draws | None, position_B: jax.Array) -> jax.Array:
    """The next token of each row [B]; without draws, the likeliest.

    `position_B` is the index that a token will have in its sequence.
    """
    if draws is None:
        return argmax(logits_BV)
    noise = jax.vmap(_noise, (0, 0, 0, None))
    noise_BV = noise(draws.seed_B, draws.request_B, position_B, logits_BV.shape[1])
    drawn_BV = jnp.where(
        keep(logits_BV, draws), logits_BV / _positive(draws.temperature_B)[:, None] + noise_BV, -jnp.inf
    )
    return argmax(jnp.where(draws.temperature_B[:, None] > 0, drawn_BV, logits_BV))


def keep(logits_BV: jax.Array, draws: Draws) -> jax.Array:
    """Which tokens [B, V] may be drawn: the `top_k` most likely, of these the fewest that hold `top_p` of their mass.

    Tokens as likely as the last one kept are kept too. Thresholds are found by bisection, which unlike a sort costs a
    few sweeps over the logits.
    """

    def some(p_BV):
        top_k_B = jnp.where(draws.top_k_B > 0, draws.top_k_B.astype(jnp.float32), jnp.inf)
        of_k_BV = p_BV >= _threshold(p_BV, jnp.ones_like(p_BV), top_k_B)
        p_BV = jnp.where(of_k_BV, p_BV, 0.0)
        top_p_B = jnp.where(draws.top_p_B < 1, draws.top_p_B * jnp.sum(p_BV, -1), jnp.inf)
        return of_k_BV & (p_BV >= _threshold(p_BV, p_BV, top_p_B))

    p_BV = jax.nn.softmax(logits_BV / _positive(draws.temperature_B)[:, None], axis=-1)
    limited = jnp.any((draws.top_k_B > 0) | (draws.top_p_B < 1))
    return jax.lax.cond(limited, some, lambda p_BV: jnp.ones_like(p_BV, bool), p_BV)


def argmax(logits_BV: jax.Array) -> jax.Array:
    """The first index of the greatest logit. Two plain reductions: XLA on CPU does not vectorise one over pairs."""
    V = logits_BV.shape[1]
    best_B1 = jnp.max(logits_BV, axis=1, keepdims=True)
    return jnp.min(jnp.where(logits_BV == best_B1, jnp.arange(V, dtype=jnp.int32), V - 1), axis=1)


def _threshold(p_BV: jax.Array, weight_BV: jax.Array, target_B: jax.Array) -> jax.Array:
    """Per row the greatest t at which the weight of the p >= t reaches the target, at most the greatest p [B, 1].

    0 where the target is never reached. Positive floats are ordered as their bits are, so bisecting these is exact.
    """

    def halve(_, bounds):
        low_B, high_B = bounds
        middle_B = (low_B + high_B) // 2
        at_least_BV = p_BV >= jax.lax.bitcast_convert_type(middle_B, jnp.float32)[:, None]
        reached_B = jnp.sum(jnp.where(at_least_BV, weight_BV, 0.0), axis=-1) >= target_B
        return jnp.where(reached_B, middle_B, low_B), jnp.where(reached_B, high_B, middle_B)

    low_B = jnp.zeros(p_BV.shape[0], jnp.int32)
    just_over_one = int(np.float32(1).view(np.int32)) + 1  # less than 2**30: 30 halvings
    low_B, _ = jax.lax.fori_loop(0, 30, halve, (low_B, jnp.full_like(low_B, just_over_one)))
    return jnp.minimum(jax.lax.bitcast_convert_type(low_B, jnp.float32), jnp.max(p_BV, axis=-1))[:, None]


def _noise(seed: jax.Array | np.ndarray, request: jax.Array | np.ndarray, position: jax.Array, size: int) -> jax.Array:
    """Gumbel noise [size]: the argmax of logits with it is a draw from their softmax."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), request), position)
    return jax.random.gumbel(key, (size,))


def _positive(temperature_B: jax.Array | np.ndarray) -> jax.Array:
    return jnp.where(temperature_B > 0, temperature_B, 1.0)
