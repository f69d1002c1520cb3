"""What became of each response: right, or the first reason for being wrong that applies."""

import enum

from dsmath.records import Exit, Stop, Trajectory, Verdict


class Outcome(enum.StrEnum):
    """In the order in which the reasons are tried."""

    RIGHT = "right"
    ONLY_STRICT = "right only under strict"  # known where both graders have been run
    NOT_GRADED = "not graded in time"  # the grader's limits on time, memory and nesting
    TOO_LONG = "prompt too long"
    REFUSED = "refused"  # by a server's filter
    FAILED = "server failed"  # however often it was asked
    TRUNCATED = "truncated"  # at the most new tokens, or by a full cache
    PROGRAM_TIMEOUT = "program timeout"  # the last program
    PROGRAM_ERROR = "program error"  # the last program: an exception, too much memory, too much output
    NO_ANSWER = "no answer"
    AFTER_RIGHT = "wrong after a right program"  # the output of the last program is right
    AFTER_WRONG = "wrong after a wrong program"
    WITHOUT_PROGRAM = "wrong without a program"


def outcome(
    trajectory: Trajectory, verdict: Verdict, *, program_correct: bool | None, strict_correct: bool | None
) -> Outcome:
    """What became of a trajectory.

    `program_correct` is the verdict on the output of the last program, None if that did not run to its end;
    `strict_correct` that of the strict grader, None if it isn't known.
    """
    last_exit = trajectory.last_program.ran.exit if trajectory.last_program else None
    if verdict.correct:
        return Outcome.RIGHT
    if strict_correct:
        return Outcome.ONLY_STRICT
    if verdict.reason in ("timeout", "died", "too deep"):
        return Outcome.NOT_GRADED
    if trajectory.stop is Stop.TOO_LONG:
        return Outcome.TOO_LONG
    if trajectory.stop is Stop.REFUSED:
        return Outcome.REFUSED
    if trajectory.stop is Stop.FAILED:
        return Outcome.FAILED
    if trajectory.stop is Stop.LENGTH:
        return Outcome.TRUNCATED
    if last_exit is Exit.TIMEOUT:
        return Outcome.PROGRAM_TIMEOUT
    if last_exit not in (None, Exit.OK):
        return Outcome.PROGRAM_ERROR
    if not verdict.prediction:
        return Outcome.NO_ANSWER
    if last_exit is None:
        return Outcome.WITHOUT_PROGRAM
    return Outcome.AFTER_RIGHT if program_correct else Outcome.AFTER_WRONG
