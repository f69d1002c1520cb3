"""Sampling: what is kept, and with which frequencies it is drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsmath.engine import sampling
from dsmath.text.generator import Sampling

V = 101
LOGITS = np.random.default_rng(3).normal(size=(6, V)).astype(np.float32) * 2


def draws(**columns) -> sampling.Draws:
    values = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "seed": 0} | columns
    return sampling.draws([(Sampling(**values), f"r{i}") for i in range(len(LOGITS))])


def kept_by_sorting(logits_V, temperature, top_p, top_k):
    """What `keep` must give, from a sort in f64."""
    p = np.exp(np.float64(logits_V) / temperature)
    order = np.argsort(-p)
    if top_k:
        order = order[:top_k]
    mass = np.cumsum(p[order]) / p[order].sum()
    if top_p < 1:
        order = order[: np.searchsorted(mass, top_p) + 1]
    return np.isin(np.arange(V), order)


@pytest.mark.parametrize("temperature", [0.5, 1.3])
@pytest.mark.parametrize(
    ("top_p", "top_k"), [(1.0, 0), (0.9, 0), (0.5, 0), (1.0, 7), (0.8, 20), (0.3, 2), (1.0, V + 9)]
)
def test_keeps_what_a_sort_keeps(temperature, top_p, top_k):
    kept = np.asarray(sampling.keep(LOGITS, draws(temperature=temperature, top_p=top_p, top_k=top_k)))
    for row, logits in zip(kept, LOGITS, strict=True):
        np.testing.assert_array_equal(row, kept_by_sorting(logits, temperature, top_p, top_k))


@pytest.mark.parametrize("limits", [{"top_k": 1}, {"top_p": 1e-6}, {"top_p": 0.0}, {"temperature": 1e-5}])
def test_the_narrowest_limits_are_greedy(limits):
    drawn = sampling.sample(LOGITS, draws(**limits), jnp.arange(len(LOGITS)))
    np.testing.assert_array_equal(drawn, LOGITS.argmax(-1))


def test_equally_likely_tokens_are_kept_together():
    tied = np.zeros((6, V), np.float32)
    assert np.asarray(sampling.keep(tied, draws(top_k=3))).all()


def test_greedy_takes_the_first_of_equals():
    tied = np.array([[1, 5, 5, 2], [7, 7, 7, 7]], np.float32)
    assert sampling.sample(tied, None, jnp.arange(2)).tolist() == [1, 0]


def test_frequencies_are_the_probabilities_of_what_is_kept():
    count, rows = 4000, 6
    d = draws(temperature=0.9, top_p=0.8, top_k=12)
    positions = jnp.arange(count)[:, None] + jnp.zeros(rows, int)
    drawn = np.asarray(jax.jit(jax.vmap(lambda p: sampling.sample(LOGITS, d, p)))(positions))
    for b in range(rows):
        p = np.where(kept_by_sorting(LOGITS[b], 0.9, 0.8, 12), np.exp(LOGITS[b] / 0.9), 0)
        p /= p.sum()
        frequency = np.bincount(drawn[:, b], minlength=V) / count
        assert (frequency[p == 0] == 0).all()
        assert (abs(frequency - p) < 5 * np.sqrt(p * (1 - p) / count) + 1e-9).all()


def test_a_draw_depends_on_seed_request_and_position_and_on_no_row():
    flat = np.zeros((6, V), np.float32)

    def drawn(seed, positions):
        return sampling.sample(flat, draws(seed=seed), jnp.array(positions)).tolist()

    base = drawn(1, [3] * 6)
    assert len(set(base)) > 1
    assert drawn(2, [3] * 6) != base
    assert drawn(1, [4] * 6) != base
    one = sampling.draws([(Sampling(1.0, 1.0, 0, 1), "r4")])
    assert sampling.sample(flat[:1], one, jnp.array([3])).tolist() == [base[4]]


def test_hash_of_a_request_is_the_same_in_every_process():
    assert sampling.request_hash("123456789") == 0xCBF43926  # the check value of CRC-32
