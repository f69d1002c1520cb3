"""The error taxonomy, the breakdowns and the figures of tool use."""

import dataclasses

import pytest

from dsmath.records import Stop
from dsmath.score.counts.breakdown import breakdown
from dsmath.score.counts.outcomes import Outcome, outcome
from dsmath.score.counts.tools import tool_use
from tests.trajectories import graded, program, trajectory


def record(*, id="p", correct=False, of_program=False, prediction="5", reason="different", **changes):
    one = trajectory(id, "", **{"programs": (program(),)} | changes)
    return graded(one, prediction, correct=correct, reason=reason, of_program=of_program)


@pytest.mark.parametrize(
    ("changes", "known", "expected"),
    [
        ({"correct": True, "stop": Stop.LENGTH}, {}, Outcome.RIGHT),
        ({"stop": Stop.LENGTH}, {"strict_correct": True}, Outcome.ONLY_STRICT),
        ({"reason": "timeout", "stop": Stop.LENGTH}, {}, Outcome.NOT_GRADED),
        ({"stop": Stop.TOO_LONG, "prediction": ""}, {}, Outcome.TOO_LONG),
        ({"stop": Stop.REFUSED, "prediction": ""}, {}, Outcome.REFUSED),
        ({"stop": Stop.FAILED, "programs": (program("timeout"),)}, {}, Outcome.FAILED),
        ({"stop": Stop.LENGTH, "prediction": ""}, {"strict_correct": False}, Outcome.TRUNCATED),
        ({"programs": (program(), program("timeout"))}, {}, Outcome.PROGRAM_TIMEOUT),
        ({"programs": (program("memory"),)}, {}, Outcome.PROGRAM_ERROR),
        ({"programs": (program("timeout"), program())}, {"program_correct": True}, Outcome.AFTER_RIGHT),
        ({"prediction": []}, {"program_correct": True}, Outcome.NO_ANSWER),
        ({}, {"program_correct": False}, Outcome.AFTER_WRONG),
        ({"programs": ()}, {}, Outcome.WITHOUT_PROGRAM),
    ],
)
def test_the_first_reason_that_applies_is_the_outcome(changes, known, expected):
    made = record(**changes)
    known = {"program_correct": None, "strict_correct": None} | known
    assert outcome(made.trajectory, made.verdict, **known) is expected


def test_breakdowns_stand_in_their_order_and_leave_out_what_has_one_value():
    records = [
        record(id=f"p{i}", correct=i % 2 == 0, meta={"level": f"Level {1 + i % 2}", "type": "Algebra", "grade": 12 - i})
        for i in range(4)
    ]
    tables = breakdown(records)
    assert list(tables) == ["level", "grade"]
    assert list(tables["grade"]) == ["9", "10", "11", "12"]
    assert (tables["level"]["Level 1"]["accuracy"], tables["level"]["Level 2"]["accuracy"]) == (100, 0)
    assert sum(group["n"] for group in tables["level"].values()) == 4


def test_breakdown_intervals_take_the_problem_as_the_unit():
    records = [record(id="p", meta={"grade": 1}), record(id="p", meta={"grade": 1}), record(id="q", meta={"grade": 2})]
    assert breakdown(records)["grade"]["1"]["problems"] == 1


def test_programs_are_a_dimension_of_tool_mode_only():
    records = [record(programs=()), record(), record(programs=(program(), program()))]
    assert list(breakdown(records)["programs"]) == ["0", "1", "2"]
    cot = [dataclasses.replace(r, trajectory=dataclasses.replace(r.trajectory, mode="cot")) for r in records]
    assert breakdown(cot) == {}


def test_tool_use_counts_programs_failures_and_time():
    records = [
        record(programs=()),
        record(programs=(program("error", cpu_s=3.0), program(cpu_s=1.0)), correct=True, of_program=True),
        record(programs=(program("timeout", truncated=True, cpu_s=2.0, peak_bytes=3 << 20),)),
    ]
    figures = tool_use(records)
    assert figures["programs"] == 3
    assert figures["per_response"] == {"0": 1, "1": 1, "2": 1}
    assert figures["exits"] == {"error": 1, "ok": 1, "timeout": 1}
    assert (figures["responses_with_failure"], figures["recovered"], figures["program_correct"]) == (2, 1, 1)
    assert (figures["output_cut"], figures["cpu_s"]) == (1, {"median": 2.0, "p95": 3.0, "max": 3.0})
    assert figures["peak_mb"]["max"] == 3.0


def test_tool_use_without_programs_has_no_times():
    assert "cpu_s" not in tool_use([record(programs=())])
