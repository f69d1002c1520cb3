"""Scoring of a journal."""

import json
import logging

import pytest

from dsmath.error import UserError
from dsmath.journal import Journal
from dsmath.score import graders
from dsmath.score.scoring import ALL, read_scored, score

PROGRAM = {
    "code": "print(4)",
    "exit": "ok",
    "stdout": "4\n",
    "stderr": "",
    "cpu_s": 0.1,
    "wall_s": 0.1,
    "truncated": False,
    "shown": "4",
}


def trajectory(number, response, **changes):
    return {
        "id": f"embedded-{number}",
        "sample": 0,
        "suite": "embedded",
        "mode": "tool",
        "lang": "en" if number % 2 else "zh",
        "question": "2 + 2?",
        "gold": "4",
        "meta": {},
        "prompt": "User: 2 + 2?",
        "response": response,
        "ids": [],
        "sources": [],
        "stop": "end",
        "programs": [],
        "checkpoint": "runs/demo/checkpoints/500",
        "sandbox": {"level": "L0"},
        "seed": 0,
        "protocol": "reference",
    } | changes


def write(folder, records):
    with Journal(folder / "trajectories.jsonl") as journal:
        for record in records:
            journal.append(record)
    return folder


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "evals" / "500" / "embedded-tool"


def test_summary_and_scores_follow_the_journal(folder):
    records = [
        trajectory(1, "\\boxed{4}", programs=[PROGRAM]),
        trajectory(2, "\\boxed{5}", stop="length", programs=[PROGRAM | {"exit": "timeout"}, PROGRAM]),
        trajectory(3, "", stop="too_long"),
        trajectory(4, "\\boxed{4.0001}"),
    ]
    summary = score(write(folder, records), workers=1)
    assert summary == json.loads((folder / "summary.json").read_text())
    assert summary["step"] == 500
    assert (summary["n"], summary["correct"], summary["accuracy"]) == (4, 2, 50.0)
    assert summary["interval"] == pytest.approx([15.0, 85.0], abs=0.01)
    assert (summary["suite"], summary["mode"], summary["protocol"]) == ("embedded", "tool", "reference")
    assert (summary["grader"], summary["checkpoint"]) == ("reference", "runs/demo/checkpoints/500")
    assert summary["sandbox"] == ["L0"]
    assert summary["stops"] == {"end": 2, "length": 1, "too_long": 1}
    assert summary["tools"]["exits"] == {"ok": 2, "timeout": 1}
    assert summary["breakdowns"]["language"]["en"]["correct"] == 1
    assert summary["outcomes"] == {"prompt too long": 1, "right": 2, "truncated": 1}
    scores = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    assert [s["id"] for s in scores] == [r["id"] for r in records]
    assert [s["reason"] for s in scores] == ["close", "different", "no answer", "close"]
    assert scores[1] == {
        **{"id": "embedded-2", "sample": 0, "prediction": "5"},
        **{"answer": "4", "correct": False, "reason": "different"},
        **{"outcome": "truncated", "program_correct": True},
    }


def test_order_and_interruptions_of_a_journal_leave_its_summary_the_same(tmp_path):
    records = [trajectory(i, f"\\boxed{{{i}}}") for i in range(6)]
    whole = score(write(tmp_path / "a" / "500" / "embedded-tool", records), workers=1)
    folder = write(tmp_path / "b" / "500" / "embedded-tool", records[:3])
    with open(folder / "trajectories.jsonl", "a") as file:
        file.write('{"id": "torn')
    assert score(write(folder, reversed(records[3:])), workers=1) == whole


def test_repeated_and_malformed_records_are_skipped_and_logged(folder, caplog):
    repeated = trajectory(1, "\\boxed{5}")
    short = {key: value for key, value in trajectory(2, "").items() if key != "gold"}
    write(folder, [trajectory(1, "\\boxed{4}"), repeated, short])
    with open(folder / "trajectories.jsonl", "a") as file:
        file.write("not json\n")
    with caplog.at_level(logging.WARNING):
        summary = score(folder, workers=1)
    assert (summary["n"], summary["correct"]) == (1, 1)
    assert "second record of problem embedded-1, sample 0" in caplog.text
    assert "lacks 'gold'" in caplog.text
    assert "trajectories.jsonl:4" in caplog.text


def test_lone_surrogates_survive(folder):
    score(write(folder, [trajectory(1, "\\boxed{\ud800}")]), workers=1)
    assert json.loads((folder / "scores.jsonl").read_text())["prediction"] == "\ud800"


def test_several_samples_are_voted_on_and_the_problem_is_the_unit(folder):
    answers = ["4", "4.0", "5", "4"], ["5", "\\frac{10}{2}", "4", "7"]
    records = [
        trajectory(number, f"\\boxed{{{answer}}}", sample=sample)
        for number, samples in enumerate(answers, 1)
        for sample, answer in enumerate(samples)
    ]
    summary = score(write(folder, records), workers=1)
    assert (summary["n"], summary["problems"], summary["correct"]) == (8, 2, 4)
    assert summary["sampling"]["samples"] == 4
    assert summary["sampling"]["pass"]["4"]["accuracy"] == 100
    assert summary["sampling"]["maj"]["4"]["accuracy"] == 50
    assert [record["vote"] for record in read_scored(folder)] == [0, 0, 2, 0, 0, 0, 2, 3]


def test_all_graders_score_the_same_journal(folder):
    answers = ["4元", "400", "4", "5"]
    write(folder, [trajectory(i, f"\\boxed{{{answer}}}") for i, answer in enumerate(answers)])
    summary = score(folder, grader=ALL, workers=1)
    lines = [json.loads(text) for text in (folder / "graders.jsonl").read_text().splitlines()]
    assert list(summary["graders"]) == list(lines[0]["verdicts"]) == list(graders.GRADERS)
    correct = {name: [line["verdicts"][name]["correct"] for line in lines] for name in graders.GRADERS}
    assert correct["reference"] == [False, True, True, False]
    assert correct["strict"] == [True, False, True, False]
    assert (summary["grader"], summary["correct"]) == ("reference", 2)
    assert summary["graders"]["strict"]["correct"] == 2
    assert [record["outcome"] for record in read_scored(folder)] == [
        "right only under strict", "right", "right", "wrong without a program",
    ]  # fmt: skip


def test_journal_of_two_checkpoints_is_refused_and_nothing_written(folder):
    write(folder, [trajectory(1, ""), trajectory(2, "", checkpoint="elsewhere")])
    with pytest.raises(UserError, match="mixes checkpoint 'elsewhere' and 'runs/demo/checkpoints/500'"):
        score(folder, workers=1)
    assert [path.name for path in folder.iterdir()] == ["trajectories.jsonl"]


def test_empty_and_missing_journals_are_refused(folder):
    with pytest.raises(UserError, match="cannot read"):
        score(folder, workers=1)
    write(folder, [])
    with pytest.raises(UserError, match="no finished problem; go on with `dsmath evaluate`"):
        score(folder, workers=1)
