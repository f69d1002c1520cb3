"""Several graders over the same responses: where they disagree, by kind, with examples.

Takes the lines of graders.jsonl (dsmath/score/scoring.py), or any records with `verdicts`.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from dsmath.score.counts.statistics import McNemar, mcnemar

Line = dict[str, Any]  # verdicts: {grader: {prediction, answer, correct, reason}}

EXAMPLES = 3  # of each kind


@dataclasses.dataclass(frozen=True)
class Kind:
    """The responses on which the graders decided in the same way, and not all alike."""

    verdicts: dict[str, tuple[bool, str]]  # by grader: correct, reason
    count: int
    examples: list[Line]  # the first EXAMPLES


def disagreements(lines: Sequence[Line]) -> list[Kind]:
    """The kinds of disagreement, the most frequent first."""
    groups: dict[tuple, list[Line]] = {}
    for line in lines:
        key = tuple((name, (v["correct"], v["reason"])) for name, v in line["verdicts"].items())
        if len({correct for _, (correct, _) in key}) > 1:
            groups.setdefault(key, []).append(line)
    kinds = [Kind(dict(key), len(group), group[:EXAMPLES]) for key, group in groups.items()]
    return sorted(kinds, key=lambda kind: -kind.count)


def pairs(lines: Sequence[Line]) -> dict[tuple[str, str], McNemar]:
    """For each two graders, the responses that only one of them accepts."""
    correct: dict[str, list[bool]] = {}
    for line in lines:
        for name, verdict in line["verdicts"].items():
            correct.setdefault(name, []).append(verdict["correct"])
    return {(a, b): mcnemar(correct[a], correct[b]) for a, b in itertools.combinations(correct, 2)}
