"""Intervals and tests against published values and their own definitions."""

import math

import pytest

from dsmath.score.statistics import mcnemar, wilson


def test_wilson_solves_its_own_equation():
    """The bounds are the p at which the observed proportion is exactly z standard errors away."""
    for correct, n in ((1, 10), (30, 100), (1234, 1319)):
        for bound in wilson(correct, n):
            distance = abs(correct / n - bound) / math.sqrt(bound * (1 - bound) / n)
            assert distance == pytest.approx(1.959964, abs=1e-6)


def test_wilson_of_none_and_all_ends_at_0_and_1():
    assert wilson(0, 50)[0] == 0.0
    assert wilson(50, 50)[1] == 1.0
    assert wilson(0, 50)[1] == pytest.approx(1 - wilson(50, 50)[0])


@pytest.mark.parametrize(("correct", "n"), [(1, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(correct, n):
    with pytest.raises(ValueError, match="expected 0 <= correct <= n"):
        wilson(correct, n)


def test_mcnemar_counts_discordant_pairs_only():
    result = mcnemar([True] * 8 + [False] * 2 + [True] * 50, [False] * 8 + [True] * 2 + [True] * 50)
    assert (result.only_a, result.only_b) == (8, 2)
    assert result.p == pytest.approx(2 * (1 + 10 + 45) / 1024)


def test_mcnemar_is_symmetric_and_at_most_one():
    a, b = [True, False, True, True], [False, True, True, True]
    assert mcnemar(a, b).p == mcnemar(b, a).p == 1.0
    assert mcnemar([], []).p == 1.0


def test_mcnemar_holds_for_thousands_of_pairs():
    assert 0 < mcnemar([True] * 3000 + [False] * 2000, [False] * 3000 + [True] * 2000).p < 1e-40


def test_mcnemar_refuses_lists_of_different_length():
    with pytest.raises(ValueError, match="zip"):
        mcnemar([True], [True, False])
