"""pass@k and maj@k against enumeration, and votes by mathematical equality."""

import dataclasses
import itertools

import pytest

from dsmath.score import graders
from dsmath.score.counts.samples import maj_at_k, majority, pass_at_k, sampled, votes_of
from tests.trajectories import graded, trajectory


@pytest.mark.parametrize(("n", "correct", "k"), [(5, 2, 1), (5, 2, 3), (6, 0, 4), (6, 6, 1), (7, 1, 7)])
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(n, correct, k):
    samples = [True] * correct + [False] * (n - correct)
    subsets = list(itertools.combinations(samples, k))
    assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_holds_for_many_samples():
    assert 0 < pass_at_k(1000, 1, 1) < pass_at_k(1000, 1, 500) < pass_at_k(1000, 1, 1000) == 1


@pytest.mark.parametrize(("n", "correct", "k"), [(3, 4, 1), (3, 1, 4), (3, 1, 0), (3, -1, 1)])
def test_pass_at_k_refuses_impossible_counts(n, correct, k):
    with pytest.raises(ValueError, match="expected 0 <= correct <= n"):
        pass_at_k(n, correct, k)


def test_the_most_frequent_answer_wins_and_no_answer_does_not_vote():
    correct = [False, True, False, False, False]
    assert majority([0, 1, 1, None, None], correct) == 1.0
    assert majority([0, 1, 0, None, None], correct) == 0.0
    assert majority([None, 1, None, None, None], correct) == 1.0
    assert majority([None, None], [False, False]) == 0.0


def test_a_tie_is_worth_the_share_of_right_answers_among_the_level_ones():
    assert majority([0, 1, 0, 1], [True, False, True, False]) == 0.5
    assert majority([0, 1, 2], [False, True, False]) == pytest.approx(1 / 3)
    assert majority([0, 1, 2, 2], [False, True, False, False]) == 0.0


def test_maj_at_1_is_accuracy_and_at_n_the_vote_of_all():
    votes, correct = [0, 1, 1, 0, 1], [True, False, False, True, False]
    assert maj_at_k(votes, correct, 1, seed="") == pytest.approx(2 / 5)
    assert maj_at_k(votes, correct, 5, seed="") == 0.0


def test_subsets_of_many_samples_are_drawn_alike_in_every_run():
    votes, correct = [0] * 30 + [30] * 34, [True] * 30 + [False] * 34
    values = [maj_at_k(votes, correct, 16, seed="a problem") for _ in range(2)]
    assert values[0] == values[1]
    assert 0 < values[0] < 1


def record(sample, prediction, *, problem="p", suite="gsm8k", correct=False):
    one = trajectory(problem, f"\\boxed{{{prediction}}}", sample=sample, suite=suite, mode="cot", question="?")
    return graded(one, [prediction] if suite == "math" else prediction, correct=correct)


def equal(items):
    return [verdict.correct for verdict in graders.grade_all(items, workers=1)]


def test_votes_join_by_mathematical_equality_not_by_text():
    answers = ["0.5", "3", "\\frac{1}{2}", "", "0.50", "3.0"]
    assert votes_of([record(i, answer) for i, answer in enumerate(answers)], equal) == [0, 1, 0, None, 0, 1]


def test_votes_stay_within_their_problem():
    records = [record(0, "2", problem="a"), record(0, "2", problem="b"), record(1, "2", problem="a")]
    assert votes_of(records, equal) == [0, 0, 0]
    mixed = [record(0, "1", problem="a"), record(0, "2", problem="b"), record(1, "2", problem="a")]
    assert votes_of(mixed, equal) == [0, 0, 1]


def test_answers_of_math_are_compared_as_lists():
    records = [record(i, answer, suite="math") for i, answer in enumerate(["x+1", "1+x", "(0.5,2)", "(1/2,2)"])]
    assert votes_of(records, equal) == [0, 0, 2, 2]


def test_equality_is_asked_once_for_answers_of_the_same_text():
    asked = []
    records = [record(i, answer) for i, answer in enumerate(["1", "2", "1", "2", "1"])]
    assert votes_of(records, lambda items: asked.extend(items) or [False] * len(items)) == [0, 1, 0, 1, 0]
    assert [(item.gold_source, item.output) for item in asked] == [("1", "\\boxed{2}")]


def test_incomplete_problems_are_left_out_and_pass_grows_with_k():
    records = [record(i, "1", problem=f"p{p}", correct=i < p) for p in range(4) for i in range(4)]
    records = [dataclasses.replace(one, vote=0) for one in [*records, record(0, "1", problem="short")]]
    summary = sampled(records)
    assert (summary["samples"], summary["problems"]) == (4, 4)
    assert list(summary["pass"]) == list(summary["maj"]) == ["1", "2", "4"]
    values = [summary["pass"][k]["accuracy"] for k in ("1", "2", "4")]
    assert values[0] == pytest.approx(100 * 6 / 16)
    assert values == sorted(values)
    assert values[2] == 75
    assert summary["maj"]["1"]["accuracy"] == 75  # one answer, whose first sample is right in three of four problems
