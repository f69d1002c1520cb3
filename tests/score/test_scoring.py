"""Scoring of a journal."""

import json
import logging

import pytest

from dsmath.error import UserError
from dsmath.records import Stop
from dsmath.runs import Run
from dsmath.score import graders
from dsmath.score.scoring import ALL, read_graded
from tests.trajectories import program, scored, trajectory, write


def made(number, response, **changes):
    return trajectory(f"embedded-{number}", response, lang="en" if number % 2 else "zh", **changes)


def test_summary_and_scores_follow_the_journal(tmp_path):
    records = [
        made(1, "\\boxed{4}", programs=(program(),)),
        made(2, "\\boxed{5}", stop=Stop.LENGTH, programs=(program("timeout"), program())),
        made(3, "", stop=Stop.TOO_LONG),
        made(4, "\\boxed{4.0001}"),
    ]
    evaluation = write(tmp_path, records)
    summary = scored(evaluation)
    assert summary == json.loads(evaluation.summary.read_text())
    assert summary["step"] == 500
    assert (summary["n"], summary["correct"], summary["accuracy"]) == (4, 2, 50.0)
    assert summary["interval"] == pytest.approx([15.0, 85.0], abs=0.01)
    assert (summary["suite"], summary["mode"], summary["protocol"]) == ("embedded", "tool", "reference")
    assert (summary["grader"], summary["checkpoint"]) == ("reference", "ckpt")
    assert summary["sandbox"] == ["L0"]
    assert summary["stops"] == {"end": 2, "length": 1, "too_long": 1}
    assert summary["tools"]["exits"] == {"ok": 2, "timeout": 1}
    assert summary["breakdowns"]["language"]["en"]["correct"] == 1
    assert summary["outcomes"] == {"prompt too long": 1, "right": 2, "truncated": 1}
    scores = [json.loads(line) for line in evaluation.scores.read_text().splitlines()]
    assert [s["id"] for s in scores] == [r.problem.id for r in records]
    assert [s["reason"] for s in scores] == ["close", "different", "no answer", "close"]
    assert scores[1] == {
        **{"id": "embedded-2", "sample": 0, "prediction": "5"},
        **{"answer": "4", "correct": False, "reason": "different"},
        **{"outcome": "truncated", "program_correct": True, "vote": None},
    }
    assert summary["cost"] == {
        **{"generated_tokens": 12, "wall_s": 2.0, "tokens_per_s": 6.0, "waiting_share": 0.2},
        **{"put_backs": 0, "pool_use": None},
    }


def test_rows_that_an_evaluation_does_not_ask_for_do_not_count(tmp_path):
    """As of a journal of 4 problems under a limit of 2."""
    evaluation = write(tmp_path, [made(i, f"\\boxed{{{i}}}") for i in range(1, 5)])
    summary = scored(evaluation, keys={("embedded-4", 0), ("embedded-1", 0), ("embedded-9", 0)})
    assert (summary["n"], summary["correct"]) == (2, 1)
    assert [json.loads(line)["id"] for line in evaluation.scores.read_text().splitlines()] == [
        "embedded-1",
        "embedded-4",
    ]


def test_order_and_interruptions_of_a_journal_leave_its_summary_the_same(tmp_path):
    records = [made(i, f"\\boxed{{{i}}}") for i in range(6)]
    whole = scored(write(tmp_path / "a", records))
    evaluation = write(tmp_path / "b", records[:3])
    with evaluation.trajectories.open("a") as file:
        file.write('{"id": "torn')
    write(tmp_path / "b", reversed(records[3:]))
    assert scored(evaluation) == whole


def test_parts_of_other_processes_count_each_response_once(tmp_path):
    records = [made(i, f"\\boxed{{{i}}}") for i in range(6)]
    whole = scored(write(tmp_path / "a", records))
    evaluation = write(tmp_path / "b", records[:4])
    evaluation.trajectories.rename(evaluation.journal(3))  # what a process left that is gone
    assert Run(tmp_path / "b").evaluations() == [evaluation]
    write(tmp_path / "b", records[3:])  # into which the first one had begun to put it
    assert scored(evaluation) == whole


def test_repeated_and_malformed_records_are_skipped_and_logged(tmp_path, caplog):
    evaluation = write(tmp_path, [made(1, "\\boxed{4}"), made(1, "\\boxed{5}")])
    short = {key: value for key, value in made(2, "").to_json().items() if key != "gold"}
    with evaluation.trajectories.open("a") as file:
        file.write(json.dumps(short) + "\n")
        file.write(json.dumps(made(3, "").to_json() | {"stop": "whim"}) + "\n")
        file.write("not json\n")
    with caplog.at_level(logging.WARNING):
        summary = scored(evaluation)
    assert (summary["n"], summary["correct"]) == (1, 1)
    assert "second record of problem embedded-1, sample 0" in caplog.text
    assert "trajectories.jsonl:3: skipped the record with id 'embedded-2', which lacks 'gold'" in caplog.text
    assert "trajectories.jsonl:4: skipped the record with id 'embedded-3': 'whim' is not a valid Stop" in caplog.text
    assert "trajectories.jsonl:5" in caplog.text


@pytest.mark.parametrize("changes", [{"version": 3}, {"version": None, "tool_spans": []}])
def test_a_journal_of_another_version_is_refused(tmp_path, changes):
    evaluation = write(tmp_path, [made(1, "\\boxed{4}")])
    values = {k: v for k, v in (made(2, "").to_json() | changes).items() if v is not None}
    with evaluation.trajectories.open("a") as file:
        file.write(json.dumps(values) + "\n")
    with pytest.raises(UserError, match=r"trajectories.jsonl:2 was written by another version.*--workdir"):
        scored(evaluation)


def test_lone_surrogates_survive(tmp_path):
    evaluation = write(tmp_path, [made(1, "\\boxed{\ud800}")])
    scored(evaluation)
    assert json.loads(evaluation.scores.read_text())["prediction"] == "\ud800"


def test_several_samples_are_voted_on_and_the_problem_is_the_unit(tmp_path):
    answers = ["4", "4.0", "5", "4"], ["5", "\\frac{10}{2}", "4", "7"]
    records = [
        made(number, f"\\boxed{{{answer}}}", sample=sample)
        for number, samples in enumerate(answers, 1)
        for sample, answer in enumerate(samples)
    ]
    evaluation = write(tmp_path, records)
    summary = scored(evaluation)
    assert (summary["n"], summary["problems"], summary["correct"]) == (8, 2, 4)
    assert summary["sampling"]["samples"] == 4
    assert summary["sampling"]["pass"]["4"]["accuracy"] == 100
    assert summary["sampling"]["maj"]["4"]["accuracy"] == 50
    assert [record.vote for record in read_graded(evaluation)] == [0, 0, 2, 0, 0, 0, 2, 3]


def test_all_graders_score_the_same_journal(tmp_path):
    answers = ["4元", "400", "4", "5"]
    evaluation = write(tmp_path, [made(i, f"\\boxed{{{answer}}}") for i, answer in enumerate(answers)])
    summary = scored(evaluation, ALL)
    lines = [json.loads(text) for text in evaluation.graders.read_text().splitlines()]
    assert list(summary["graders"]) == list(lines[0]["verdicts"]) == list(graders.GRADERS)
    correct = {name: [line["verdicts"][name]["correct"] for line in lines] for name in graders.GRADERS}
    assert correct["reference"] == [False, True, True, False]
    assert correct["strict"] == [True, False, True, False]
    assert (summary["grader"], summary["correct"]) == ("reference", 2)
    assert summary["graders"]["strict"]["correct"] == 2
    assert [record.outcome.value for record in read_graded(evaluation)] == [
        "right only under strict", "right", "right", "wrong without a program",
    ]  # fmt: skip


def test_journal_of_two_checkpoints_is_refused_and_nothing_written(tmp_path):
    evaluation = write(tmp_path, [made(1, ""), made(2, "", checkpoint="elsewhere")])
    with pytest.raises(UserError, match="mixes checkpoint 'ckpt' and 'elsewhere'"):
        scored(evaluation)
    assert [path.name for path in evaluation.folder.iterdir()] == ["trajectories.jsonl"]


def test_empty_and_missing_journals_are_refused(tmp_path):
    evaluation = Run(tmp_path).evaluation(0, "gsm8k", "cot", "reference")
    with pytest.raises(UserError, match="holds no finished problem"):
        scored(evaluation)
    evaluation.folder.mkdir(parents=True)
    evaluation.trajectories.touch()
    with pytest.raises(UserError, match="no finished problem; go on with `dsmath evaluate`"):
        scored(evaluation)
