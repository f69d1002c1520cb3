"""Graders side by side."""

import json

from dsmath.score.counts.agreement import disagreements, pairs
from dsmath.score.outputs import score_outputs
from dsmath.score.scoring import ALL

# An answer with a unit, one a hundredfold too large, one that all accept, one that none does.
ANSWERS = ["4元", "400", "4", "5"]


def line(number, **verdicts):
    return {
        "id": number,
        "verdicts": {
            name: {"prediction": "1", "answer": "2", "correct": correct, "reason": reason}
            for name, (correct, reason) in verdicts.items()
        },
    }


def test_kinds_of_disagreement_are_counted_by_reason_and_most_frequent_first():
    lines = [
        *(line(i, a=(True, "percent"), b=(False, "different")) for i in range(5)),
        *(line(i, a=(False, "no answer"), b=(True, "same")) for i in range(5, 7)),
        *(line(i, a=(True, "close"), b=(True, "same")) for i in range(7, 9)),
        line(9, a=(True, "close"), b=(False, "different")),
    ]
    kinds = disagreements(lines)
    assert [kind.count for kind in kinds] == [5, 2, 1]
    assert kinds[0].verdicts == {"a": (True, "percent"), "b": (False, "different")}
    assert [example["id"] for example in kinds[0].examples] == [0, 1, 2]
    assert (pairs(lines)["a", "b"].only_a, pairs(lines)["a", "b"].only_b) == (6, 2)


def test_graders_that_agree_have_no_disagreements():
    lines = [line(0, a=(True, "close"), b=(True, "same")), line(1, a=(False, "different"), b=(False, "no answer"))]
    assert disagreements(lines) == []


def test_all_graders_score_the_same_outputs(tmp_path):
    rows = [{"question": "2 + 2?", "gold_source": "4", "output": f"\\boxed{{{answer}}}"} for answer in ANSWERS]
    (tmp_path / "in").write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = score_outputs(tmp_path / "in", tmp_path / "out", suite="gsm8k", grader=ALL, workers=1)
    lines = [json.loads(text) for text in (tmp_path / "out").read_text().splitlines()]
    assert [line["correct"] for line in lines] == [False, True, True, False]
    assert [line["verdicts"]["strict"]["correct"] for line in lines] == [True, False, True, False]
    assert summary["graders"]["strict"]["problems"] == 1
