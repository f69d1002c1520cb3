"""Intervals and tests against published values and their own definitions."""

import math
import random

import pytest

from dsmath.score.counts.statistics import Difference, accuracy, clustered, mcnemar, paired_bootstrap, wilson


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


def test_one_sample_per_problem_gives_wilson():
    for correct, n in ((0, 7), (3, 7), (7, 7), (123, 250)):
        means = [1.0] * correct + [0.0] * (n - correct)
        assert clustered(means, [1] * n) == pytest.approx(wilson(correct, n))


def test_repeating_every_sample_narrows_nothing():
    means = [1.0] * 30 + [0.0] * 70
    assert clustered(means, [16] * 100) == pytest.approx(wilson(30, 100))


def test_samples_that_are_independent_within_problems_count_in_full():
    """Every problem right half of the time: between problems nothing varies, and the samples are all there is."""
    assert clustered([0.5] * 100, [16] * 100) == pytest.approx(wilson(800, 1600))


def test_all_right_is_as_certain_as_the_number_of_problems():
    assert clustered([1.0] * 20, [8] * 20) == pytest.approx(wilson(20, 20))


def test_clustered_intervals_cover_and_those_of_samples_do_not():
    """400 made evaluations of 100 problems by 8 samples, problems of very different difficulty, true mean 0.4."""
    draw = random.Random(0)
    covered = [0, 0]
    for _ in range(400):
        rights = [sum(draw.random() < p for _ in range(8)) for p in (draw.betavariate(0.4, 0.6) for _ in range(100))]
        low, high = clustered([right / 8 for right in rights], [8] * 100)
        covered[0] += low <= 0.4 <= high
        low, high = wilson(sum(rights), 800)
        covered[1] += low <= 0.4 <= high
    assert 0.92 <= covered[0] / 400 <= 0.98
    assert covered[1] / 400 < 0.75


def test_accuracy_takes_samples_of_a_problem_together():
    one = accuracy(["a", "b", "c", "d"], [True, True, False, False])
    assert one == {"n": 4, "correct": 2, "accuracy": 50.0, "interval": [100 * bound for bound in wilson(2, 4)]}
    several = accuracy(["a", "b", "a", "b"], [True, False, True, False])
    assert (several["n"], several["problems"], several["accuracy"]) == (4, 2, 50.0)
    assert several["interval"] == pytest.approx([100 * bound for bound in wilson(1, 2)])


def test_paired_bootstrap_is_seeded_and_blind_to_order():
    a, b = [1, 1, 0, 1, 0, 1, 1, 0] * 10, [0, 1, 0, 0, 1, 1, 0, 0] * 10
    first = paired_bootstrap(a, b, seed=1)
    assert first == paired_bootstrap(a[::-1], b[::-1], seed=1)
    assert first.mean == pytest.approx(0.25)
    assert first.low < 0.25 < first.high
    few = [paired_bootstrap(a, b, seed=seed, resamples=50) for seed in range(4)]
    assert len(set(few)) > 1


def test_paired_bootstrap_agrees_with_the_normal_interval_where_that_holds():
    a, b = [1] * 700 + [0] * 300, [1] * 600 + [0] * 200 + [1] * 200
    result = paired_bootstrap(a, b)
    differences = [x - y for x, y in zip(a, b, strict=True)]
    mean = sum(differences) / 1000
    margin = 1.959964 * math.sqrt(sum((d - mean) ** 2 for d in differences)) / 1000
    assert result.mean == pytest.approx(-0.1)
    assert (result.low, result.high) == pytest.approx((mean - margin, mean + margin), abs=0.002)


def test_paired_bootstrap_of_equal_systems_is_zero():
    assert paired_bootstrap([1, 0], [1, 0]) == Difference(0.0, 0.0, 0.0)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1], [1, 0])])
def test_paired_bootstrap_refuses_what_is_not_paired(a, b):
    with pytest.raises(ValueError, match="expected as many of both"):
        paired_bootstrap(a, b)
