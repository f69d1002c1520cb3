"""Next-token cross entropy that never holds the logits of a whole batch."""

import jax
import jax.numpy as jnp

from dsmath.model import decoder

# Positions whose logits exist at a time: for the 7B's vocabulary 0.2 GB per row. On CPU, for SmolLM2's, 128 to 512 take
# the same time, and all at once a little longer.
CHUNK = 256


def cross_entropy(
    params: decoder.Params, hidden_BTD: jax.Array, targets_BT: jax.Array, weights_BT: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Weighted sum of -log p(target) in nats, and the sum of weights; both f32 scalars, to be divided once, at the end.

    The logits of a chunk of the length are computed, used, and computed again in the backward pass.
    """
    T = targets_BT.shape[1]
    pad = -T % min(CHUNK, T)

    def chunks(x: jax.Array) -> jax.Array:
        x = jnp.pad(x, [(0, 0), (0, pad)] + [(0, 0)] * (x.ndim - 2))
        return x.reshape(x.shape[0], -1, min(CHUNK, T), *x.shape[2:]).swapaxes(0, 1)

    @jax.checkpoint
    def add(total: jax.Array, chunk: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        hidden, targets, weights = chunk
        logits = decoder.logits(params, hidden)
        target = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
        return total + jnp.sum(weights * (jax.nn.logsumexp(logits, axis=-1) - target)), None

    total, _ = jax.lax.scan(add, jnp.zeros((), jnp.float32), tuple(map(chunks, (hidden_BTD, targets_BT, weights_BT))))
    return total, jnp.sum(weights_BT, dtype=jnp.float32)
