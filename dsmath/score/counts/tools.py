"""How programs were used: how many, how they ended, what they took."""

import collections
import math
from collections.abc import Sequence
from typing import Any

from dsmath.records import Exit
from dsmath.score.graded import Graded

MIB = 1 << 20


def tool_use(records: Sequence[Graded]) -> dict[str, Any]:
    """Figures over all responses and their programs.

    per_response: responses by their number of programs. exits: programs by how they ended. recovered: right responses
    in which a program had failed. program_correct: responses whose last program's output is right. cpu_s, wall_s in
    seconds, peak_mb in MiB, each as median, p95 and max over programs.
    """
    programs = [program for record in records for program in record.trajectory.programs]
    ran = [program.ran for program in programs]
    rounds = collections.Counter(len(record.trajectory.programs) for record in records)
    failed = [r for r in records if any(program.ran.exit is not Exit.OK for program in r.trajectory.programs)]
    figures: dict[str, Any] = {
        "programs": len(programs),
        "per_response": {str(number): rounds[number] for number in sorted(rounds)},
        "exits": dict(sorted(collections.Counter(r.exit.value for r in ran).items())),
        "output_cut": sum(r.truncated for r in ran),
        "responses_with_failure": len(failed),
        "recovered": sum(record.correct for record in failed),
        "program_correct": sum(record.program_correct is True for record in records),
    }
    if ran:
        figures["cpu_s"] = _spread([r.cpu_s for r in ran])
        figures["wall_s"] = _spread([r.wall_s for r in ran])
        figures["peak_mb"] = _spread([r.peak_bytes / MIB for r in ran])
    return figures


def _spread(values: Sequence[float]) -> dict[str, float]:
    """By nearest rank."""
    ordered = sorted(values)
    return {
        "median": ordered[math.ceil(0.5 * len(ordered)) - 1],
        "p95": ordered[math.ceil(0.95 * len(ordered)) - 1],
        "max": ordered[-1],
    }
