"""How programs were used: how many, how they ended, what they took."""

import collections
import math
from collections.abc import Sequence
from typing import Any

Record = dict[str, Any]  # a trajectory with its score: dsmath/score/scoring.py

MIB = 1 << 20


def tool_use(records: Sequence[Record]) -> dict[str, Any]:
    """Figures over all responses and their programs.

    per_response: responses by their number of programs. exits: programs by how they ended. recovered: right responses
    in which a program had failed. program_correct: responses whose last program's output is right. cpu_s, wall_s in
    seconds, peak_mb in MiB, each as median, p95 and max over programs.
    """
    programs = [program for record in records for program in record["programs"]]
    rounds = collections.Counter(len(record["programs"]) for record in records)
    failed = [record for record in records if any(program["exit"] != "ok" for program in record["programs"])]
    figures = {
        "programs": len(programs),
        "per_response": {str(number): rounds[number] for number in sorted(rounds)},
        "exits": dict(sorted(collections.Counter(program["exit"] for program in programs).items())),
        "output_cut": sum(program["truncated"] for program in programs),
        "responses_with_failure": len(failed),
        "recovered": sum(record["correct"] for record in failed),
        "program_correct": sum(record["program_correct"] is True for record in records),
    }
    if programs:
        figures["cpu_s"] = _spread([program["cpu_s"] for program in programs])
        figures["wall_s"] = _spread([program["wall_s"] for program in programs])
    if peaks := [program["peak_bytes"] / MIB for program in programs if program.get("peak_bytes") is not None]:
        figures["peak_mb"] = _spread(peaks)
    return figures


def _spread(values: Sequence[float]) -> dict[str, float]:
    """By nearest rank."""
    ordered = sorted(values)
    return {
        "median": ordered[math.ceil(0.5 * len(ordered)) - 1],
        "p95": ordered[math.ceil(0.95 * len(ordered)) - 1],
        "max": ordered[-1],
    }
