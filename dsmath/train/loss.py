"""Next-token cross entropy that never holds the logits of a whole batch, and makes none for untrained tokens."""

from typing import Any

import jax
import jax.numpy as jnp

from dsmath.model import decoder
from dsmath.sharding import TRAINING, constrain

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
    head_VD = constrain(params["head"] if "head" in params else params["embed"], ("classes", None), TRAINING)
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
    def add(carry, chunk):
        hidden_BTD, targets_BT, weights_BT = chunk

        def trained(total, head_grad_VD):
            logits_BTV = decoder.logits({"embed": head_VD}, hidden_BTD)
            normaliser_BT = jax.nn.logsumexp(logits_BTV, axis=-1)
            target_BT = jnp.take_along_axis(logits_BTV, targets_BT[..., None], axis=-1)[..., 0]
            is_target_BTV = jnp.arange(head_VD.shape[0]) == targets_BT[..., None]
            surplus_BTV = jnp.exp(logits_BTV - normaliser_BT[..., None]) - is_target_BTV  # of probability
            grad_BTV = (weights_BT[..., None] * surplus_BTV).astype(head_VD.dtype)
            total += jnp.sum(weights_BT * (normaliser_BT - target_BT))
            head_grad_VD += jnp.einsum("btv,btd->vd", grad_BTV, hidden_BTD, preferred_element_type=jnp.float32)
            return (total, head_grad_VD), jnp.einsum("btv,vd->btd", grad_BTV, head_VD)

        def untrained(total, head_grad_VD):
            return (total, head_grad_VD), jnp.zeros_like(hidden_BTD)

        return jax.lax.cond(jnp.any(weights_BT != 0), trained, untrained, *carry)

    zero = (jnp.zeros((), jnp.float32), jnp.zeros(head_VD.shape, jnp.float32))
    (total, head_grad_VD), hidden_grad = jax.lax.scan(add, zero, chunks)
    return total, (head_grad_VD.astype(head_VD.dtype), hidden_grad)


def _backward(grads: tuple[jax.Array, jax.Array], factor: jax.Array) -> tuple[Any, ...]:
    head_grad, hidden_grad = (g * factor.astype(g.dtype) for g in grads)
    return head_grad, hidden_grad, None, None


_summed.defvjp(_forward, _backward)


def _chunks(x: jax.Array) -> jax.Array:
    """[B, T, ...] -> [CHUNKS, B, T / CHUNKS, ...], filled up with zeros at the end."""
    x = jnp.pad(x, [(0, 0), (0, -x.shape[1] % CHUNKS)] + [(0, 0)] * (x.ndim - 2))
    return x.reshape(x.shape[0], CHUNKS, -1, *x.shape[2:]).swapaxes(0, 1)
