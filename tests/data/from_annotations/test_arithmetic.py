"""Arithmetic read from text and written as Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsmath.data.from_annotations import arithmetic
from dsmath.data.from_annotations.arithmetic import Number, Unreadable


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,250*4", 5000), (".5x8", 4), ("50(60+40)", 5000), ("20%*50", 10), ("7//2", 3), ("-(3-5)", 2), ("+3+4", 7)],
)
def test_a_text_and_its_python_have_one_value(text, value):
    expression = arithmetic.parse(text)
    assert arithmetic.value(expression) == value
    assert eval(arithmetic.python(expression)) == value


@pytest.mark.parametrize(
    "text", ["", "2+", "2 3", "x+1", "1/0", "1.2.3", "2**3", "__import__('os')", "(" * 300, "1+" * 99 + "1"]
)
def test_what_is_no_expression_is_unreadable(text):
    with pytest.raises(Unreadable):
        arithmetic.parse(text)


@given(st.integers(2, 50), st.integers(-99, 99), st.integers(-50, 1), st.integers(-99, 99), st.integers(-30, 30))
def test_a_linear_equation_has_the_solution_that_it_was_made_with(a, b, c, shift, x):
    left = (*arithmetic.parse(str(a)), "*", "(", "n", "+", Number(float(abs(shift))), ")", *signed(b))
    right = ("n", "*", "(", *arithmetic.parse(str(c)), ")", *signed(a * (x + abs(shift)) + b - c * x))
    assert arithmetic.solution(left, right, "n") == pytest.approx(x)


def signed(value: int) -> tuple[str | Number, ...]:
    return ("+" if value >= 0 else "-", Number(float(abs(value))))


@pytest.mark.parametrize("side", [("n", "*", "n"), (Number(1.0), "/", "n"), (Number(3.0),)])
def test_an_equation_that_is_not_linear_in_its_letter_is_unreadable(side):
    with pytest.raises(Unreadable):
        arithmetic.solution(side, (Number(4.0),), "n")


def test_a_variable_stands_in_for_a_number_even_in_percent_or_a_fraction():
    share = {20.0: "share", 1.5: "cups"}
    expression = (Number(20.0, percent=True), "*", Number(20.0, bottom=4.0), "+", Number(1.0, 2.0, whole=1.0))
    assert arithmetic.python(expression, lambda n: share.get(n.value)) == "(share / 100) * share / 4 + cups"


@pytest.mark.parametrize(("tight", "expected"), [(False, "6 / 2 / 3"), (True, "6 / part")])
def test_a_variable_stands_in_for_a_fraction_behind_a_bar_only_if_it_binds_closer(tight, expected):
    expression = (Number(6.0), "/", Number(2.0, bottom=3.0, tight=tight))
    assert arithmetic.python(expression, lambda number: "part" if number.bottom else None) == expected
