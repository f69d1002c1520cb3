"""What became of each response: right, or the first reason for being wrong that applies."""

import enum
from typing import Any


class Outcome(enum.StrEnum):
    """In the order in which the reasons are tried."""

    RIGHT = "right"
    ONLY_STRICT = "right only under strict"  # known where both graders have been run
    NOT_GRADED = "not graded in time"  # the grader's limits on time, memory and nesting
    TOO_LONG = "prompt too long"
    TRUNCATED = "truncated"  # at the most new tokens, or by a full cache
    PROGRAM_TIMEOUT = "program timeout"  # the last program
    PROGRAM_ERROR = "program error"  # the last program: an exception, too much memory, too much output
    NO_ANSWER = "no answer"
    AFTER_RIGHT = "wrong after a right program"  # the output of the last program is right
    AFTER_WRONG = "wrong after a wrong program"
    WITHOUT_PROGRAM = "wrong without a program"


def outcome(record: dict[str, Any], *, program_correct: bool | None, strict_correct: bool | None) -> Outcome:
    """Of a trajectory with its score.

    `program_correct` is the verdict on the output of the last program, None if that did not run to its end;
    `strict_correct` that of the strict grader, None if it isn't known.
    """
    programs = record["programs"]
    last_exit = programs[-1]["exit"] if programs else None
    if record["correct"]:
        return Outcome.RIGHT
    if strict_correct:
        return Outcome.ONLY_STRICT
    if record["reason"] in ("timeout", "died", "too deep"):
        return Outcome.NOT_GRADED
    if record["stop"] == "too_long":
        return Outcome.TOO_LONG
    if record["stop"] == "length":
        return Outcome.TRUNCATED
    if last_exit == "timeout":
        return Outcome.PROGRAM_TIMEOUT
    if last_exit not in (None, "ok"):
        return Outcome.PROGRAM_ERROR
    if not record["prediction"]:
        return Outcome.NO_ANSWER
    if last_exit is None:
        return Outcome.WITHOUT_PROGRAM
    return Outcome.AFTER_RIGHT if program_correct else Outcome.AFTER_WRONG
