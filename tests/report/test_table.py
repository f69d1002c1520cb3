"""The tables of a workdir."""

import io
import json

import pytest
from rich.console import Console

from dsmath.error import UserError
from dsmath.report import table
from dsmath.report.paired import against, paired, sheet
from dsmath.runs import Run


def evaluated(workdir, step, suite, mode, correct, *, first=0, samples=1, **changes):
    """Write the scores and the summary of an evaluation whose i-th problem is right iff correct[i], in each sample."""
    evaluation = Run(workdir).evaluation(step, suite, mode, changes.get("protocol", "reference"))
    evaluation.folder.mkdir(parents=True)
    evaluation.trajectories.touch()
    lines = [
        json.dumps({"id": f"p{first + i}", "sample": sample, "correct": c})
        for i, c in enumerate(correct)
        for sample in range(samples)
    ]
    evaluation.scores.write_text("\n".join(lines) + "\n")
    summary = {
        **{"step": step, "suite": suite, "mode": mode, "checkpoint": f"ckpt/{step}"},
        **{"protocol": "reference", "grader": "reference", "n": len(correct), "correct": sum(correct)},
        **{"accuracy": 100 * sum(correct) / len(correct), "interval": [12.34, 56.78]},
        **{"breakdowns": {}, "outcomes": {"right": sum(correct)}, "sandbox": ["L0"]},
        **{"tools": {"programs": 0}, "template": "reference"},
        "cost": {"generated_tokens": None, "wall_s": 1.0, "tokens_per_s": None, "waiting_share": None},
    }
    evaluation.summary.write_text(json.dumps(summary | changes))


def printed(workdir, width=80):
    console = Console(file=io.StringIO(), width=width)
    result = table.report(Run(workdir), console)
    return console.file.getvalue(), result


def test_empty_workdir_names_the_way_out(tmp_path):
    with pytest.raises(UserError, match="`dsmath evaluate"):
        table.rows(Run(tmp_path))


def test_torn_summary_names_its_file(tmp_path):
    evaluated(tmp_path, 0, "gsm8k", "cot", [True])
    path = next(tmp_path.glob("evals/*/*/summary.json"))
    path.write_text("{")
    with pytest.raises(UserError, match=r"summary\.json.*dsmath score"):
        table.rows(Run(tmp_path))


def test_summary_of_an_older_version_names_the_way_out(tmp_path):
    evaluated(tmp_path, 0, "gsm8k", "cot", [True])
    path = next(tmp_path.glob("evals/*/*/summary.json"))
    summary = json.loads(path.read_text())
    del summary["outcomes"]
    path.write_text(json.dumps(summary))
    with pytest.raises(UserError, match=r"has no 'outcomes'.*dsmath score"):
        table.rows(Run(tmp_path))


def test_rows_stand_by_suite_mode_and_numeric_step(tmp_path):
    for step, suite, mode in (
        (500, "gsm8k", "tool"),
        (60, "gsm8k", "tool"),
        (60, "gsm8k", "cot"),
        (60, "embedded", "cot"),
    ):
        evaluated(tmp_path, step, suite, mode, [True])
    order = [(row["suite"], row["mode"], row["step"]) for row in table.rows(Run(tmp_path))]
    assert order == [("embedded", "cot", 60), ("gsm8k", "cot", 60), ("gsm8k", "tool", 60), ("gsm8k", "tool", 500)]


def test_tir_is_tested_against_cot_on_common_problems_only(tmp_path):
    evaluated(tmp_path, 500, "embedded", "cot", [True, False, False, False])
    evaluated(tmp_path, 500, "embedded", "tool", [True, True, False, True], first=1)
    (comparison,) = paired(table.rows(Run(tmp_path)))
    assert (comparison.a.mode, comparison.b.mode, comparison.n) == ("tool", "cot", 3)
    assert (comparison.test.only_a, comparison.test.only_b, comparison.test.p) == (2, 0, 0.5)


def test_later_steps_are_tested_against_the_first_one_per_mode(tmp_path):
    for step, correct in ((0, [False] * 8), (500, [True] * 8)):
        evaluated(tmp_path, step, "embedded", "cot", correct)
    (comparison,) = paired(table.rows(Run(tmp_path)))
    assert (comparison.a.mode, comparison.a.step, comparison.b.mode, comparison.b.step) == ("cot", 500, "cot", 0)
    assert (comparison.test.only_a, comparison.test.p) == (8, 2 / 256)


def test_the_difference_is_in_points_with_an_interval_over_problems(tmp_path):
    evaluated(tmp_path, 500, "embedded", "cot", [True] * 10 + [False] * 30)
    evaluated(tmp_path, 500, "embedded", "tool", [True] * 30 + [False] * 10)
    (comparison,) = paired(table.rows(Run(tmp_path)))
    assert comparison.difference.mean == 0.5
    assert 0.3 < comparison.difference.low < 0.4
    assert "+50.0 [+" in printed(tmp_path, width=120)[0]


def test_several_samples_are_compared_by_problem_and_without_mcnemar(tmp_path):
    evaluated(tmp_path, 500, "embedded", "cot", [False, False, True, False], samples=3)
    evaluated(tmp_path, 500, "embedded", "tool", [True, True, True, False])
    (comparison,) = paired(table.rows(Run(tmp_path)))
    assert (comparison.n, comparison.difference.mean, comparison.test) == (4, 0.5, None)


def test_runs_under_different_graders_or_protocols_are_not_compared(tmp_path):
    evaluated(tmp_path, 0, "embedded", "cot", [True])
    evaluated(tmp_path, 0, "embedded", "tool", [True], grader="strict")
    evaluated(tmp_path, 500, "embedded", "cot", [True], protocol="tora")
    assert paired(table.rows(Run(tmp_path))) == []


def test_comparisons_of_two_protocols_graders_or_templates_say_which_is_which(tmp_path):
    for protocol in ("reference", "tora"):
        for mode, correct in (("cot", [False] * 4), ("tool", [True] * 4)):
            evaluated(tmp_path, 500, "embedded", mode, correct, protocol=protocol)
    labels = [row[1:3] for row in sheet(paired(table.rows(Run(tmp_path)))).cells]
    assert labels == [
        ("TIR at 500 (reference)", "CoT at 500 (reference)"),
        ("TIR at 500 (tora)", "CoT at 500 (tora)"),
    ]


def test_another_run_is_compared_at_the_last_step_of_both_on_common_problems(tmp_path):
    evaluated(tmp_path / "a", 100, "embedded", "cot", [False] * 6)
    evaluated(tmp_path / "a", 500, "embedded", "cot", [True] * 6)
    evaluated(tmp_path / "a", 500, "gsm8k", "cot", [True])
    evaluated(tmp_path / "b", 300, "embedded", "cot", [False] * 6, first=2)
    evaluated(tmp_path / "b", 300, "gsm8k", "cot", [True], grader="strict")
    (comparison,) = against(table.rows(Run(tmp_path / "a")), table.rows(Run(tmp_path / "b")), "b")
    assert (comparison.a.step, comparison.b.step, comparison.n, comparison.test.only_a) == (500, 300, 4, 4)
    console = Console(file=io.StringIO(), width=120)
    table.report(Run(tmp_path / "a"), console, against=Run(tmp_path / "b"))
    assert "CoT at 300 of b" in console.file.getvalue()


def test_terminal_and_page_tell_the_same_numbers(tmp_path):
    evaluated(tmp_path, 500, "gsm8k", "cot", [False] * 10)
    evaluated(tmp_path, 500, "gsm8k", "tool", [True] * 10)
    text, result = printed(tmp_path, width=120)
    page = (tmp_path / "report" / "results.md").read_text()
    for part in ("GSM8K", "TIR", "100.0 [12.3, 56.8]", "10 of 1319", "reference", "TIR at 500", "0.002"):
        assert part in text
        assert part in page
    assert "| ckpt/500 |" in page
    assert result["paired"][0]["test"] == {"only_a": 10, "only_b": 0, "p": 2 / 1024}
    assert json.loads(json.dumps(result)) == result


def test_unwritable_workdir_is_a_user_error(tmp_path):
    evaluated(tmp_path, 0, "gsm8k", "cot", [True])
    (tmp_path / "report").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot write"):
        printed(tmp_path)
