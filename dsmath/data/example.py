"""The records that the data room passes on: a problem to evaluate on, an example to train on."""

import dataclasses
from typing import Any

from dsmath.records import Piece


@dataclasses.dataclass(frozen=True)
class Problem:
    """A question of a suite, with what its grader needs."""

    id: str  # unique and stable: "gsm8k-test-17"
    suite: str
    lang: str  # "en" or "zh"
    question: str
    gold: str  # the answer, or for MATH the solution, from which the grader extracts it
    meta: dict[str, Any]  # level, subject, grade, template, ...: JSON values


@dataclasses.dataclass(frozen=True)
class Example:
    """A question and a solution to train on, in pieces that say who writes them.

    Mode "cot": one piece by the model. Mode "tool": the model writes prose and a program and asks for its output, the
    tool answers, the model concludes; `dsmath.text.template` says how that looks.
    """

    id: str
    source: str  # "embedded", "gsm8k", ...
    lang: str
    mode: str  # "cot" or "tool"
    question: str
    solution: tuple[Piece, ...]
    answer: str
