"""Answers to nodes: bounds, and nothing that runs."""

import contextlib
import time
from fractions import Fraction

import pytest

from dsmath.answers import exact, numeric
from dsmath.answers.nodes import Apply, Based, Number, ParseError, Quantity, Relation, Sequence, Symbol, Text
from dsmath.answers.parser import parse

X, Y = Symbol("x"), Symbol("y")


def number(value):
    return Number(Fraction(value))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("0.50", Number(Fraction(1, 2), places=2, digits=2)),
        ("1.20e3", Number(Fraction(1200), places=0, digits=3)),
        ("1\\frac12", number("3/2")),
        ("1\\frac32", Apply("*", (number(1), Apply("/", (number(3), number(2)))))),
        ("\\frac12x", Apply("*", (Apply("/", (number(1), number(2))), X))),
        ("xy", Apply("*", (X, Y))),
        ("-x^2", Apply("neg", (Apply("^", (X, number(2))),))),
        ("x^{y+1}", Apply("^", (X, Apply("+", (Y, number(1)))))),
        ("x_{12}", Symbol("x_12")),
        ("\\sin^2 2x", Apply("^", (Apply("sin", (Apply("*", (number(2), X)),)), number(2)))),
        ("\\sin^{-1} x", Apply("arcsin", (X,))),
        ("f(x)", Apply("call f", (X,))),
        ("x(y)", Apply("*", (X, Y))),
        ("12_3", Based("12", 3, Fraction(5))),
        ("0.11_2", Based("0.11", 2, Fraction(3, 4))),
        ("5\\text{ cm}^2", Quantity(number(5), "cm^2")),
        ("-\\$5", Quantity(Apply("neg", (number(5),)), "$")),
        ("[1,2)", Sequence("[", (number(1), number(2)), ")")),
        ("1<x\\le 2", Relation(("<", "<="), (number(1), X, number(2)))),
        ("\\text{Monday}", Text("Monday")),
        ("\\sqrt[3]{8}", Apply("root", (number(8), number(3)))),
    ],
)
def test_node(text, node):
    assert parse(text) == node


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1+",
        "(1",
        "1)",
        "{}",
        "10 12",
        "\\foo",
        "1\x002",
        "__import__('os')",
        "open('f')",
        "x.y",
        "19_2",
        "5_1",
        "x=>y",
    ],
)
def test_no_mathematics(text):
    with pytest.raises(ParseError):
        parse(text)


@pytest.mark.parametrize(
    "deep",
    ["{" * 99 + "5" + "}" * 99, "(" * 9_999, "\\frac{" * 999, "\\text{" * 999, "2^" * 999 + "2", "-" * 9_999 + "5"],
)
def test_depth_is_bounded(deep):
    start = time.monotonic()
    with contextlib.suppress(ParseError):
        exact.value(parse(deep))
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    "huge",
    [
        "9^{9^{9^9}}",
        "9^{-9^{9^9}}",
        "99999!",
        "(3000!)!",
        "\\binom{9999999}{5000000}",
        "2^{999999}",
        "7" * 1000 + "^{999}",
    ],
)
def test_size_is_bounded(huge):
    start = time.monotonic()
    with pytest.raises(exact.TooLargeError):
        exact.value(parse(huge))
    assert not numeric.holds("same", parse(huge), number(5))
    assert time.monotonic() - start < 1


def test_long_numbers_and_texts_are_refused():
    for text in ("7" * 5_000, "x+" * 3_000 + "x", "1" * 20_000, "1e99999", "1." + "3" * 2_000):
        with pytest.raises(ParseError):
            parse(text)


def test_values_are_exact_where_they_can_be():
    for text, expected in (
        ("(1/2)^{-3}", 8),
        ("8^{2/3}", 4),
        ("\\sqrt{2.25}", "3/2"),
        ("0^0", None),
        ("\\sqrt2", None),
        ("2x", None),
        ("1/0", None),
    ):
        assert exact.value(parse(text)) == (None if expected is None else Fraction(expected))


def test_random_points_are_the_same_in_every_process():
    assert numeric._Evaluation(0, real=True).value(X) == numeric._Evaluation(0, real=True).value(X)
    assert numeric.holds("same", parse("(x+y)^3"), parse("x^3+3x^2y+3xy^2+y^3"))
    assert numeric.holds("multiple", parse("2x-4y"), parse("-x+2y"))
    assert not numeric.holds("positive multiple", parse("2x-4y"), parse("-x+2y"))
    assert numeric.holds("less", parse("\\sqrt2"), parse("\\frac32"))


def test_roots_of_negative_numbers_are_real_if_they_can_be():
    assert numeric.holds("same", parse("\\sqrt[3]{-8}"), parse("-2"))
    assert numeric.holds("same", parse("\\sqrt{x}\\sqrt{y}"), parse("\\sqrt{xy}"))
    assert not numeric.holds("same", parse("\\sqrt{x^2}"), parse("-x"))
