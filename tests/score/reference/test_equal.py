"""The verdict rules of the reference protocol, each by the name under which it accepts."""

import pytest

from dsmath.score.reference.equal import verdict
from dsmath.score.reference.symbolic import symbolic_equal


@pytest.mark.parametrize(
    ("prediction", "gold", "rule"),
    [
        ("5.0004", "5", "close"),
        ("1,000", "1000", "close"),
        ("x", "x", "same"),
        ("5", "6", ""),
        ("50%", "0.5", "number"),
        ("50\\%", "0.5", "number"),
        ("0.5", "50%", "number"),
        ("1000000000.5", "1000000000", "number"),
        ("", "5", ""),
        ("(1,x)", "(1.0,x)", "brackets"),
        ("(1,2,3)", "(1,2)", ""),
        ("\\begin{pmatrix}1\\\\0.5\\end{pmatrix}", "\\begin{bmatrix}1\\\\\\frac{1}{2}\\end{bmatrix}", "matrix"),
        ("\\begin{pmatrix}1&2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", ""),
        ("y=2x+1", "2x-y+1=0", "equation"),
        ("y=2x+1", "y=2x+2", ""),
        ("x=5", "5", "right side"),
        ("5", "x=5", "right side"),
        ("\\frac{1}{3}", "0.3333", "symbolic"),
        ("2x+2", "2(x+1)", "symbolic"),
        ("\\frac{\\sqrt{8}}{2}", "\\sqrt{2}", "symbolic"),
        ("x+1", "x-1", ""),
        ("(3,\\infty)\\cup(-\\infty,2)", "(-\\infty,2)\\cup(3,\\infty)", "union"),
        ("(-\\infty,2)", "(-\\infty,2)\\cup(3,\\infty)", ""),
    ],
)
def test_rule(prediction, gold, rule):
    assert verdict(prediction, gold, symbolic_equal) == rule


@pytest.mark.parametrize(
    ("predictions", "golds", "rule"),
    [
        (["1", "2"], ["2", "1"], "list"),
        (["1"], ["1", "2"], ""),
        (["1", "1", "2", "2"], ["1", "2"], "list"),
        (["7", "1", "2"], ["1", "2"], "list"),
        (["1"], ["1", "1"], "close"),
        ([], ["1"], ""),
        (["1"], [], ""),
    ],
)
def test_lists_ignore_order_and_repeats_and_keep_the_last_predictions(predictions, golds, rule):
    assert verdict(predictions, golds, symbolic_equal) == rule


@pytest.mark.parametrize(
    ("prediction", "gold", "rule"),
    [
        ("500", "5", "percent"),
        ("0.05", "5", "percent"),
        ("0.0005", "0.001", "close"),
        ("[1,2]", "(1,2)", "brackets"),
        ("\\frac{1}{2004!}", "\\frac{1}{2006!}", "symbolic"),
        ("3}", "3", "symbolic"),  # the LaTeX parser stops at the brace: so \boxed{3}% is right
    ],
)
def test_quirk_accepted(prediction, gold, rule):
    assert verdict(prediction, gold, symbolic_equal) == rule


@pytest.mark.parametrize(("prediction", "gold"), [("12元", "12"), ("23", "6")])
def test_quirk_rejected(prediction, gold):
    assert not verdict(prediction, gold, symbolic_equal)


def test_quirk_lists_are_not_matched_one_to_one():
    assert verdict(["1", "1.0001"], ["1", "0.9999"], symbolic_equal) == "list"


def test_numbers_are_decided_without_symbols():
    def refuse(a, b):
        raise AssertionError

    assert verdict("5", "6", refuse) == ""
    assert verdict("5", "5.0", refuse) == "close"
