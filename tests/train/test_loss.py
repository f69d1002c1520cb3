"""The chunked loss against the plain one."""

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from dsmath.model import decoder
from dsmath.train import loss

B, T, D, V = 2, 22, 8, 50  # T is no multiple of the number of chunks


@pytest.fixture
def inputs():
    keys = jax.random.split(jax.random.key(0), 5)
    head_VD = jax.random.normal(keys[0], (V, D))
    hidden_BTD = jax.random.normal(keys[1], (B, T, D))
    targets_BT = jax.random.randint(keys[2], (B, T), 0, V)
    trained_BT = jax.random.bernoulli(keys[3], 0.6, (B, T))
    weights_BT = jax.random.normal(keys[4], (B, T))
    return head_VD, hidden_BTD, targets_BT, weights_BT, trained_BT


def chunked(head_VD, *rest):
    return loss.cross_entropy({"embed": head_VD}, *rest)


def plain(head_VD, hidden_BTD, targets_BT, weights_BT, trained_BT):
    log_p_BTV = jax.nn.log_softmax(decoder.logits({"embed": head_VD}, hidden_BTD))
    log_p_BT = jnp.take_along_axis(log_p_BTV, targets_BT[..., None], axis=-1)[..., 0]
    return -jnp.sum(trained_BT * weights_BT * log_p_BT), jnp.sum(trained_BT)


def test_chunked_equals_plain_in_value_count_and_gradients(inputs):
    (ours, count), grads = jax.value_and_grad(chunked, argnums=(0, 1), has_aux=True)(*inputs)
    (theirs, trained), expected = jax.value_and_grad(plain, argnums=(0, 1), has_aux=True)(*inputs)
    assert count == trained
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), grads, expected)


def test_logits_of_the_whole_batch_never_exist(inputs):
    def sizes(f):
        jaxpr = jax.make_jaxpr(jax.grad(lambda *a: f(*a)[0], argnums=(0, 1)))(*inputs)
        return {v.aval.size for e in _equations(jaxpr.jaxpr) for v in e.outvars if v.aval.shape[-1:] == (V,)}

    assert max(sizes(chunked)) == B * 3 * V
    assert max(sizes(plain)) == B * T * V


def test_a_factor_on_the_loss_is_one_on_its_gradients(inputs):
    once = jax.grad(lambda *a: chunked(*a)[0], argnums=(0, 1))(*inputs)
    thrice = jax.grad(lambda *a: 3 * chunked(*a)[0], argnums=(0, 1))(*inputs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(3 * a, b, rtol=1e-6), once, thrice)


def test_untrained_targets_leave_no_trace(inputs):
    head, hidden, targets, weights, trained = inputs
    other = jnp.where(trained, targets, (targets + 1) % V)
    heavy = jnp.where(trained, weights, 7.0)
    assert chunked(head, hidden, other, heavy, trained) == chunked(head, hidden, targets, weights, trained)


def test_weights_of_the_other_sign_give_the_loss_and_gradient_of_the_other_sign(inputs):
    """All weights 1 and all weights -1: what a policy gradient asks for."""
    head, hidden, targets, weights, trained = inputs
    gradient = jax.value_and_grad(chunked, argnums=(0, 1), has_aux=True)
    (up, n), up_grads = gradient(head, hidden, targets, jnp.ones_like(weights), trained)
    (down, m), down_grads = gradient(head, hidden, targets, -jnp.ones_like(weights), trained)
    assert n == m == trained.sum()
    assert up == -down > 0
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, -b), up_grads, down_grads)


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from _equations(inner)
