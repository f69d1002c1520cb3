"""Files of outputs, our own and other people's."""

import json
import os
import subprocess
import sys
import time

import pytest

from dsmath.error import UserError
from dsmath.score import foreign
from dsmath.score.outputs import score_outputs

PLAIN = {"question": "2 + 2?", "output": "\\boxed{4}", "gold_source": "4"}
DEEPSEEK = {
    "dataset": "math-test",
    "id": "math-test-test-0-0",
    "messages": [{"role": "user", "content": "The roots, separated by commas?"}, {"role": "assistant", "content": ""}],
    "answer": ["1", "2"],
    "reference": "They are $\\boxed{1,2}$.",
    "model_output": "So \\boxed{2, 1}",
    "prediction": ["2", "1"],
    "accuracy": 1,
    "history": [],
}
TORA = {
    "idx": 7,
    "question": "2 + 2?",
    "gt_cot": "It is $\\boxed{\\frac12}$.",
    "gt": "4",
    "code": ["```python\nprint(4)\n```\n```output\n4\n```\n", "\\boxed{5}"],
    "pred": ["4", "5"],
    "report": [None, None],
}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_keep_their_order_and_fields_and_gain_a_verdict(tmp_path):
    rows = [PLAIN | {"output": f"\\boxed{{{number}}}", "mine": number} for number in (5, 4, 3, 4)]
    summary = score_outputs(write(tmp_path / "in", rows), tmp_path / "out", suite="gsm8k", workers=1)
    lines = read(tmp_path / "out")
    verdicts = [(line["prediction"], line["answer"], line["correct"], line["reason"]) for line in lines]
    assert verdicts == [
        ("5", "4", False, "different"),
        ("4", "4", True, "close"),
        ("3", "4", False, "different"),
        ("4", "4", True, "close"),
    ]
    assert [line["mine"] for line in lines] == [5, 4, 3, 4]
    assert all(line.items() >= (row | {"suite": "gsm8k"}).items() for line, row in zip(lines, rows, strict=True))
    assert (summary["n"], summary["correct"], summary["accuracy"]) == (4, 2, 50.0)
    assert summary["reasons"] == {"close": 2, "different": 2}


def test_the_suite_of_a_line_wins(tmp_path):
    rows = [PLAIN | {"gold_source": "so \\boxed{4}", "suite": suite} for suite in ("math", "gsm8k")]
    score_outputs(write(tmp_path / "in", rows), tmp_path / "out", suite="cmath", workers=1)
    assert [line["correct"] for line in read(tmp_path / "out")] == [True, False]


def test_predictions_of_deepseekmath_are_read(tmp_path):
    path = tmp_path / "predictions.json"
    gsm8k = DEEPSEEK | {"dataset": "gsm8k-test", "answer": "4", "reference": "many", "accuracy": 1, "id": "b"}
    cot = DEEPSEEK | {"reference": ["First \\boxed{1}.", "Then \\boxed{2}."], "id": "c"}
    path.write_text("\n " + json.dumps([DEEPSEEK, gsm8k, cot]))
    summary = score_outputs(path, tmp_path / "out", workers=1)
    lines = read(tmp_path / "out")
    assert [line["suite"] for line in lines] == ["math", "gsm8k", "math"]
    assert [line["gold_source"] for line in lines] == [
        DEEPSEEK["reference"],
        "4",
        "First \\boxed{1}.\nThen \\boxed{2}.",
    ]
    assert [line["correct"] for line in lines] == [True, False, True]
    assert summary["published"] == {"n": 3, "correct": 3, "only_published": 1, "only_ours": 0}


def test_outputs_of_tora_are_read_a_line_per_sample(tmp_path):
    path = write(tmp_path / "in", [TORA, TORA | {"idx": 8, "score": [True, True]}])
    summary = score_outputs(path, tmp_path / "out", suite="gsm8k", workers=1)
    lines = read(tmp_path / "out")
    assert [(line["id"], line["sample"], line["correct"]) for line in lines] == [
        *((7, 0, True), (7, 1, False)),
        *((8, 0, True), (8, 1, False)),
    ]
    assert (summary["n"], summary["problems"]) == (4, 2)
    assert summary["published"]["only_published"] == 1
    (math, _) = foreign.read(write(tmp_path / "math", [TORA]), "math")
    assert math["gold_source"] == TORA["gt_cot"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"question": "q", "gold_source": "4"}', ":2 lacks 'output'"),
        ('{"question": "q", "output": null, "gold_source": "4"}', ":2 has NoneType for 'output'"),
        ('{"question": "q", "output": "4", "gold_source": "4", "suite": "aime"}', ":2 has suite 'aime'"),
        ('{"question": "q", "output": "4", "gold_source": "4", "suite": []}', ":2 has suite"),
        ('{"model_output": "4", "messages": []}', ":2 has no question in 'messages'"),
        ('{"model_output": "4"}', ":2 lacks 'messages'"),
        ('{"code": "print(1)", "question": "q", "gt": "1"}', ":2 lacks 'code'; expected a list"),
        ('{"code": ["4"], "gt": "1"}', ":2 lacks 'question'"),
        ('{"question": "torn', ":2 is not JSON"),
        ("[1]", ":2 is list; expected a JSON object"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path, text, words):
    path = tmp_path / "in"
    path.write_text(f"{json.dumps(PLAIN)}\n{text}\n")
    with pytest.raises(UserError) as error:
        score_outputs(path, tmp_path / "out", suite="gsm8k", workers=1)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_missing_suite_empty_file_and_missing_file_are_refused(tmp_path):
    with pytest.raises(UserError, match=":1 lacks 'suite'; expected it there or as --suite"):
        score_outputs(write(tmp_path / "in", [PLAIN]), tmp_path / "out")
    with pytest.raises(UserError, match="holds no output"):
        score_outputs(write(tmp_path / "in", []), tmp_path / "out", suite="math")
    with pytest.raises(UserError, match="cannot read"):
        score_outputs(tmp_path / "nowhere", tmp_path / "out", suite="math")
    with pytest.raises(UserError, match="cannot write"):
        score_outputs(write(tmp_path / "in", [PLAIN]), tmp_path / "in" / "out", suite="gsm8k", workers=1)


@pytest.mark.parametrize(
    ("suite", "gold", "correct"),
    [
        ("gsm8k", "2 + 2 = <<2+2=4>>4\n#### 4", True),
        ("gsm8k", "#### 5", False),
        ("math", "It is $\\boxed{4}$.", True),
        ("asdiv", "Mrs. Lovelace", False),
    ],
)
def test_a_gold_may_be_short_or_a_solution_in_its_suites_form(tmp_path, suite, gold, correct):
    path = write(tmp_path / "in", [PLAIN | {"suite": suite, "gold_source": gold}])
    score_outputs(path, tmp_path / "out", workers=1)
    assert [line["correct"] for line in read(tmp_path / "out")] == [correct]


@pytest.mark.parametrize(
    ("suite", "gold", "words"),
    [
        ("cmath", "2 + 2 = <<2+2=4>>4\n#### 4", "is no short answer: '2 + 2 = <<2+2=4>>4\\n#### 4'"),
        ("gsm8k", "We add.\nSo it is 4.", "is no short answer"),
        ("gsm8k", " ", "is no short answer"),
        ("svamp", "x" * 300, "is no short answer"),
        ("math", "4", "without a \\boxed answer: '4'"),
    ],
)
def test_a_gold_that_cannot_be_one_is_refused_before_anything_is_graded(tmp_path, suite, gold, words):
    path = write(tmp_path / "in", [PLAIN | {"suite": "gsm8k"}, PLAIN | {"suite": suite, "gold_source": gold}])
    with pytest.raises(UserError) as e:
        score_outputs(path, tmp_path / "out", workers=1)
    assert f"{path}:2 " in str(e.value)
    assert words in str(e.value)
    assert "\n" not in str(e.value)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_killed_run_goes_on_behind_what_it_had_graded(tmp_path):
    rows = [
        PLAIN | {"suite": "math", "gold_source": "\\boxed{x+1}", "output": f"\\boxed{{\\sin({i}x)}}"} for i in range(60)
    ]
    path, out, partial = write(tmp_path / "in", rows), tmp_path / "out", tmp_path / "out.partial"
    line = [sys.executable, "-m", "dsmath.cli.main", "score", "--outputs", str(path), "--out", str(out)]
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    while not (partial.exists() and partial.read_bytes().count(b"\n") > 5):
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    before = partial.read_bytes()
    summary = score_outputs(path, out, workers=1)
    whole = score_outputs(path, tmp_path / "whole", workers=1)
    assert 5 <= before.count(b"\n") - 1 < 60, "killed too late to show anything"
    assert out.read_bytes().startswith(before[before.index(b"\n") + 1 : before.rindex(b"\n") + 1])
    assert out.read_bytes() == (tmp_path / "whole").read_bytes()
    assert summary | {"out": None} == whole | {"out": None}
    assert not partial.exists()


def test_an_item_that_hangs_costs_itself_alone(tmp_path):
    rows = [PLAIN, PLAIN | {"output": "\\boxed{9^{9^{9^9}}+x}", "gold_source": "3^x"}, PLAIN]
    summary = score_outputs(write(tmp_path / "in", rows), tmp_path / "out", suite="gsm8k", workers=1, timeout_s=3.0)
    assert [line["correct"] for line in read(tmp_path / "out")] == [True, False, True]
    assert summary["correct"] == 2


def test_lone_surrogates_and_nul_bytes_survive(tmp_path):
    path = write(tmp_path / "in", [PLAIN | {"output": "\\boxed{\ud800\0}"}])
    score_outputs(path, tmp_path / "out", suite="gsm8k", workers=1)
    assert read(tmp_path / "out")[0]["output"] == "\\boxed{\ud800\0}"


def command(*args):
    line = [sys.executable, "-m", "dsmath.cli.main", "score", *args]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=os.environ)


def test_the_verb_prints_accuracy_and_interval_and_gives_them_as_json(tmp_path):
    path = str(
        write(tmp_path / "in", [PLAIN, PLAIN | {"question": "3 + 1?"}, PLAIN | {"question": "?", "output": "5"}])
    )
    args = ("--outputs", path, "--suite", "gsm8k", "--grader", "reference", "--out", str(tmp_path / "out"))
    done = command(*args)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 correct, 66.67% [20.77, 93.85] by the grader reference" in done.stdout
    done = command(*args, "--json")
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["n"], summary["correct"], summary["grader"]) == (3, 2, "reference")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--outputs", "in.jsonl"], "--out is missing"),
        (["--outputs", "in.jsonl", "--out", "x", "--workdir", "runs/demo"], "both --workdir and --outputs"),
        (["--outputs", "in.jsonl", "--out", "x", "--suite", "aime"], "no suite is named 'aime'"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(args, words):
    done = command(*args)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert words in done.stderr
