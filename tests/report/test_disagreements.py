"""The sheets of disagreements."""

from dsmath.report.disagreements import sheets


def line(number, **verdicts):
    """`verdicts` are (prediction, answer, correct, reason)."""
    names = ("prediction", "answer", "correct", "reason")
    return {"id": f"p{number}", "verdicts": {k: dict(zip(names, v, strict=True)) for k, v in verdicts.items()}}


def test_disagreements_show_reasons_counts_and_what_was_compared():
    lines = [
        line(1, reference=("500", "5", True, "percent"), strict=("500", "5", False, "different")),
        line(2, reference=("23", "6", False, "different"), strict=("2*3", ["6"], True, "number")),
        line(3, reference=("5", "5", True, "same"), strict=("5", "5", True, "same")),
    ]
    counts, kinds = sheets(lines, "GSM8K")
    assert counts.cells == [("reference", "strict", "1", "1", "1")]
    assert kinds.header == ("reference", "strict", "n", "Examples")
    assert kinds.cells == [
        ("right: percent", "wrong: different", "1", "p1: 500 | 5"),
        ("wrong: different", "right: number", "1", "p2: reference 23 | 6; strict 2*3 | 6"),
    ]
    assert "p1: 500 \\| 5" in kinds.markdown()


def test_long_and_missing_answers_are_shortened_and_named():
    lines = [line(1, a=("", "x" * 500, False, "no answer"), b=("1\n2", "x" * 500, True, "same"))]
    example = sheets(lines, "MATH")[1].cells[0][-1]
    assert len(example) < 200
    assert "a (none) | xxx" in example
    assert "b 1 2 | xxx" in example


def test_graders_that_agree_need_no_table():
    assert len(sheets([line(1, a=("1", "1", True, "same"), b=("1", "1", True, "same"))], "MATH")) == 1
