"""Next-token cross entropy that never holds the logits of a whole batch, and makes none for untrained tokens."""

from typing import Any

import jax
import jax.numpy as jnp

from dsmath.model import decoder

# A row's logits are made in this many parts. More parts skip more untrained tokens and hold less memory, but add to the
# head's gradient more often. At 8 the 7B holds 0.2 GB of f32 logits per row of 4,096 tokens.
CHUNKS = 8


def cross_entropy(
    params: decoder.Params,
    hidden_BTD: jax.Array,
    targets_BT: jax.Array,
    weights_BT: jax.Array,
    trained_BT: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Weighted sum of -log p(target) in nats over the trained tokens, and their number; both f32 scalars, to be divided
    once, at the end.

    Weights may have any sign; what isn't trained adds nothing, whatever its weight. Trained tokens are brought to the
    front of each row; the parts behind them are skipped.
    """
    head_VD = params.get("head", params["embed"])
    order_BT = jnp.argsort(~trained_BT, axis=1, stable=True)
    weights_BT = jnp.where(trained_BT, weights_BT, 0.0)
    chunks = (
        _chunks(jnp.take_along_axis(hidden_BTD, order_BT[..., None], axis=1)),
        _chunks(jnp.take_along_axis(targets_BT, order_BT, axis=1)),
        _chunks(jnp.take_along_axis(weights_BT, order_BT, axis=1)),
    )
    return _summed(head_VD, *chunks), jnp.sum(trained_BT, dtype=jnp.float32)


@jax.custom_vjp
def _summed(head_VD: jax.Array, hidden: jax.Array, targets: jax.Array, weights: jax.Array) -> jax.Array:
    """The loss of chunks that lead with an axis [chunks, B, T, ...].

    Being a sum, its gradient up to a factor is known at once: it is made with the logits, which so need neither be
    kept for the backward pass nor made twice.
    """
    return _forward(head_VD, hidden, targets, weights)[0]


def _forward(head_VD: jax.Array, *chunks: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    def loss(head_VD, hidden_BTD, targets_BT, weights_BT):
        logits_BTV = decoder.logits({"embed": head_VD}, hidden_BTD)
        target_BT = jnp.take_along_axis(logits_BTV, targets_BT[..., None], axis=-1)[..., 0]
        return jnp.sum(weights_BT * (jax.nn.logsumexp(logits_BTV, axis=-1) - target_BT))

    def add(carry, chunk):
        def trained(total, head_grad):
            value, (head, hidden) = jax.value_and_grad(loss, argnums=(0, 1))(head_VD, *chunk)
            return (total + value, head_grad + head), hidden

        def untrained(total, head_grad):
            return (total, head_grad), jnp.zeros_like(chunk[0])

        return jax.lax.cond(jnp.any(chunk[2] != 0), trained, untrained, *carry)

    zero = (jnp.zeros((), jnp.float32), jnp.zeros(head_VD.shape, jnp.float32))
    (total, head_grad), hidden_grad = jax.lax.scan(add, zero, chunks)
    return total, (head_grad.astype(head_VD.dtype), hidden_grad)


def _backward(grads: tuple[jax.Array, jax.Array], factor: jax.Array) -> tuple[Any, ...]:
    head_grad, hidden_grad = (g * factor.astype(g.dtype) for g in grads)
    return head_grad, hidden_grad, None, None


_summed.defvjp(_forward, _backward)


def _chunks(x: jax.Array) -> jax.Array:
    """[B, T, ...] -> [CHUNKS, B, T / CHUNKS, ...], filled up with zeros at the end."""
    x = jnp.pad(x, [(0, 0), (0, -x.shape[1] % CHUNKS)] + [(0, 0)] * (x.ndim - 2))
    return x.reshape(x.shape[0], CHUNKS, -1, *x.shape[2:]).swapaxes(0, 1)
