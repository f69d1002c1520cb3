"""Accuracy by what is known of the problems: level, subject, grade, steps, language; and by the number of programs."""

from collections.abc import Callable, Sequence
from typing import Any

from dsmath.score.counts.statistics import accuracy

Record = dict[str, Any]  # a trajectory with its score: dsmath/score/scoring.py

DIMENSIONS: dict[str, Callable[[Record], Any]] = {
    "language": lambda record: record["lang"],
    "level": lambda record: record["meta"].get("level"),  # MATH
    "subject": lambda record: record["meta"].get("type", record["meta"].get("topic")),  # MATH; else the kind
    "grade": lambda record: record["meta"].get("grade"),  # CMATH
    "steps": lambda record: record["meta"].get("reasoning_step"),  # CMATH
    "programs": lambda record: len(record["programs"]) if record["mode"] != "cot" else None,
}


def breakdown(records: Sequence[Record]) -> dict[str, dict[str, dict[str, Any]]]:
    """By dimension and value, in their order: n, correct, accuracy and interval.

    A dimension with fewer than two values is left out.
    """
    tables = {name: _by(records, value_of) for name, value_of in DIMENSIONS.items()}
    return {name: table for name, table in tables.items() if len(table) > 1}


def _by(records: Sequence[Record], value_of: Callable[[Record], Any]) -> dict[str, dict[str, Any]]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        if (value := value_of(record)) is not None:
            groups.setdefault(value, []).append(record)
    return {
        str(value): accuracy(
            [record["id"] for record in groups[value]], [record["correct"] for record in groups[value]]
        )
        for value in sorted(groups, key=_order)
    }


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers in their order, before texts."""
    return (False, value, "") if isinstance(value, int | float) else (True, 0, str(value))
