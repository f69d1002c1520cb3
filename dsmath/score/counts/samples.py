"""Several samples per problem: pass@k and maj@k, as means over problems with intervals whose unit is the problem."""

import itertools
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from dsmath.score.counts.statistics import by_problem, clustered
from dsmath.score.graded import Graded, graded_text
from dsmath.score.graders import Item
from dsmath.suites import catalogue

SUBSETS = 32  # of k samples, drawn per problem where there are more

Vote = int | None  # the first sample with an equal answer, as an index; None: no answer, no vote


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The chance that one of k samples is right, unbiased, from n samples of which `correct` are.

    M. Chen et al., Evaluating Large Language Models Trained on Code, 2021, arXiv:2107.03374, equation 1. Raises
    ValueError unless 0 <= correct <= n and 0 < k <= n.
    """
    if not (0 <= correct <= n and 0 < k <= n):
        raise ValueError(f"pass@{k} of {n} samples, {correct} correct; expected 0 <= correct <= n and 0 < k <= n")
    return 1 - math.comb(n - correct, k) / math.comb(n, k)


def majority(votes: Sequence[Vote], correct: Sequence[bool]) -> float:
    """What the most frequent answer is worth: 1 if it is right, 0 if not or if nobody votes.

    An answer is right if the sample that gave it first was; `correct` is indexed by votes. A tie is worth the share of
    right answers among those that are level, which is the chance of a fair draw.
    """
    counts: dict[int, int] = {}
    for vote in votes:
        if vote is not None:
            counts[vote] = counts.get(vote, 0) + 1
    if not counts:
        return 0.0
    most = max(counts.values())
    level = [vote for vote, count in counts.items() if count == most]
    return sum(correct[vote] for vote in level) / len(level)


def maj_at_k(votes: Sequence[Vote], correct: Sequence[bool], k: int, *, seed: str) -> float:
    """The mean of `majority` over subsets of k samples: over all if there are at most SUBSETS, else over as many drawn
    ones.
    """
    n = len(votes)
    if math.comb(n, k) <= SUBSETS:
        subsets: list[Sequence[int]] = list(itertools.combinations(range(n), k))
    else:
        draw = random.Random(seed)
        subsets = [draw.sample(range(n), k) for _ in range(SUBSETS)]
    return math.fsum(majority([votes[i] for i in subset], correct) for subset in subsets) / len(subsets)


def votes_of(records: Sequence[Graded], equal: Callable[[list[Item]], list[bool]]) -> list[Vote]:
    """For each record, the first sample of its problem with an equal answer.

    `equal` is the grader's own equality: whether the answer of an item's output equals its gold. The later answer is
    compared with the earlier one as its gold; answers that are the same text are compared once.
    """
    distinct: dict[Any, list[Graded]] = {}  # per problem, one record per answer
    keys = [(record.problem, _key(record.verdict.prediction)) for record in records]
    first: dict[tuple[Any, Any], int] = {}  # (problem, answer) -> index among the problem's samples
    position: dict[Any, int] = {}
    for record, key in zip(records, keys, strict=True):
        index = position[record.problem] = position.get(record.problem, -1) + 1
        if record.verdict.prediction and key not in first:
            first[key] = index
            distinct.setdefault(record.problem, []).append(record)
    pairs = [pair for group in distinct.values() for pair in itertools.combinations(group, 2)]
    verdicts = equal([_item(earlier, later) for earlier, later in pairs]) if pairs else []
    same = {
        (earlier.problem, _key(earlier.verdict.prediction), _key(later.verdict.prediction))
        for (earlier, later), verdict in zip(pairs, verdicts, strict=True)
        if verdict
    }
    joined: dict[tuple[Any, Any], int] = {}
    for problem, group in distinct.items():
        leaders: list[Any] = []
        for answer in (_key(record.verdict.prediction) for record in group):
            leader = next((leader for leader in leaders if (problem, leader, answer) in same), answer)
            if leader is answer:
                leaders.append(answer)
            joined[problem, answer] = first[problem, leader]
    return [joined.get(key) for key in keys]


def sampled(records: Sequence[Graded]) -> dict[str, Any]:
    """pass@k and maj@k in percent with 95% intervals, for k = 1, 2, 4, ... and the number of samples.

    Over the problems that have all their samples; `problems` says how many those are.
    """
    problems = [record.problem for record in records]
    correct = by_problem(problems, [record.correct for record in records])
    voted = by_problem(problems, [record.vote for record in records])
    samples = max(len(group) for group in correct.values())
    whole = [problem for problem, group in correct.items() if len(group) == samples]
    ks = sorted({samples, *(1 << power for power in range(samples.bit_length()))})
    pass_at = {k: [pass_at_k(samples, sum(correct[problem]), k) for problem in whole] for k in ks}
    maj_at = {
        k: [maj_at_k(voted[problem], correct[problem], k, seed=f"{problem} {k}") for problem in whole] for k in ks
    }
    return {
        "samples": samples,
        "problems": len(whole),
        "pass": {str(k): _mean(values, samples) for k, values in pass_at.items()},
        "maj": {str(k): _mean(values, samples) for k, values in maj_at.items()},
    }


def _mean(values: Sequence[float], samples: int) -> dict[str, Any]:
    low, high = clustered(values, [samples] * len(values))
    return {"accuracy": 100 * math.fsum(values) / len(values), "interval": [100 * low, 100 * high]}


def _key(prediction: str | list[str]) -> str | tuple[str, ...]:
    return prediction if isinstance(prediction, str) else tuple(prediction)


def _item(earlier: Graded, later: Graded) -> Item:
    """The earlier answer as the gold, in the form in which the suite gives golds: of MATH a solution, else the text."""
    answer, problem = earlier.verdict.prediction, later.trajectory.problem
    if problem.suite in catalogue.SOLUTIONS:
        answers = [answer] if isinstance(answer, str) else answer
        answer = "\n".join(f"\\boxed{{{one}}}" for one in answers)
    return Item(problem.suite, problem.question, str(answer), graded_text(later.trajectory))
