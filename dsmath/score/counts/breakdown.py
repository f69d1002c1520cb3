"""Accuracy by what is known of the problems: level, subject, grade, steps, language; and by the number of programs."""

from collections.abc import Callable, Sequence
from typing import Any

from dsmath.records import COT, Trajectory
from dsmath.score.counts.statistics import accuracy
from dsmath.score.graded import Graded

DIMENSIONS: dict[str, Callable[[Trajectory], Any]] = {
    "language": lambda t: t.problem.lang,
    "level": lambda t: t.problem.meta.get("level"),  # MATH
    "subject": lambda t: t.problem.meta.get("type", t.problem.meta.get("topic")),  # MATH; else the kind
    "grade": lambda t: t.problem.meta.get("grade"),  # CMATH
    "steps": lambda t: t.problem.meta.get("reasoning_step"),  # CMATH
    "programs": lambda t: len(t.programs) if t.mode != COT else None,
}


def breakdown(records: Sequence[Graded]) -> dict[str, dict[str, dict[str, Any]]]:
    """By dimension and value, in their order: n, correct, accuracy and interval.

    A dimension with fewer than two values is left out.
    """
    tables = {name: _by(records, value_of) for name, value_of in DIMENSIONS.items()}
    return {name: table for name, table in tables.items() if len(table) > 1}


def _by(records: Sequence[Graded], value_of: Callable[[Trajectory], Any]) -> dict[str, dict[str, Any]]:
    groups: dict[Any, list[Graded]] = {}
    for record in records:
        if (value := value_of(record.trajectory)) is not None:
            groups.setdefault(value, []).append(record)
    return {
        str(value): accuracy([record.problem for record in groups[value]], [record.correct for record in groups[value]])
        for value in sorted(groups, key=_order)
    }


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers in their order, before texts."""
    return (False, value, "") if isinstance(value, int | float) else (True, 0, str(value))
