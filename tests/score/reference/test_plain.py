"""What is decided without SymPy is what SymPy decides."""

import pytest

from dsmath import journal
from dsmath.score import graders
from dsmath.score.reference import plain
from dsmath.score.reference.equal import TOLERANCE
from dsmath.score.reference.plain import close
from dsmath.score.reference.symbolic import symbolic_equal

DECIDED = [
    (r"\frac{1}{3}", "0.3333"),
    (r"\frac{1}{3}", "0.33"),
    (r"2\frac{1}{2}", "1"),
    (r"2\frac{1}{2}", "2.5"),
    (r"\frac{\sqrt{8}}{2}", r"\sqrt{2}"),
    (r"1/2\sqrt{3}", "0.288675"),
    (r"2*(28)/2", "28"),
    ("--8", "8"),
    ("-2^{2}", "-4"),
    ("{5}", "5"),
    ("12元", "12"),
    (r"\sqrt{3}元", r"\sqrt{3}"),
    (r"\text{5}", "5"),
    (r"\begin{pmatrix}5\\6\end{pmatrix}", "5"),
    (r"\pi", "3.1416"),
    ("x+1", "x-1"),
    ("x^2", "x"),
    ("A", "D"),
    ("7p+4e", r"\frac{1}{2}"),
    (r"\infty", r"-\infty"),
    (r"\infty", "2"),
    ("2x - (3)", "2x - (4)"),
]
LEFT_TO_SYMPY = [
    "(x+1)^{2}",
    "f(x)",
    "2x3",
    "dx",
    "05",
    "0/x元",
    "x_1",
    "1,000",
    r"\sin{x}",
    "(1,2)",
    "3}",
    r"\frac12",
    "x!",
    "",
    "1.0005",
    r"\sqrt{-3}",
    r"\frac{1}{0}",
]


@pytest.mark.parametrize(("a", "b"), DECIDED)
def test_decision_is_that_of_sympy(a, b):
    assert close(a, b, TOLERANCE) == symbolic_equal(a, b)


@pytest.mark.parametrize("text", LEFT_TO_SYMPY)
def test_other_texts_and_close_calls_are_left_to_sympy(text):
    assert close(text, "1.0015" if text == "1.0005" else "x^{2}+2x+1", TOLERANCE) is None


def test_every_decision_on_the_recorded_cases_is_that_of_sympy(real_data, monkeypatch):
    decided = {}

    def spy(a: str, b: str, tolerance: float) -> bool | None:
        said = close(a, b, tolerance)
        if said is not None:
            decided[a, b] = said
        return said

    monkeypatch.setattr(plain, "close", spy)
    for case in journal.read(real_data / "grader_reference" / "dev.jsonl"):
        graders.grade(case["suite"], case["question"], case["gold_source"], case["output"])
    assert len(decided) == 1258
    assert [pair for pair, said in decided.items() if symbolic_equal(*pair) != said] == []
