"""The extraction rules of the reference protocol and their order."""

import pytest

from dsmath.score.reference.extract import boxed, extract, gold_answer, raw_answers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The final answer is $3$. I hope it is correct. \\boxed{4}", ["3"]),
        ("the answer is 5, so \\boxed{4} and \\boxed{6}", ["4", "6"]),
        ("the answer is 5. No: the answer is 6", [" 6"]),
        ("9 apples\n```output\n7\n```\nor 8\n```output\n 12 \n```\n", ["12"]),
        ("1,234 of -5.25", ["-5.25"]),
        ("1,234", ["1234"]),
        ("nothing", []),
        ("```output\n\n```\nleaves 3", ["3"]),
    ],
)
def test_first_rule_that_matches_wins(text, expected):
    assert raw_answers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\boxed{\\frac{1}{2}}", ["\\frac{1}{2}"]),
        ("\\boxed{1", []),
        ("\\boxed{1 and \\boxed{2}", ["2"]),
        ("\\fbox 3", []),
    ],
)
def test_boxes_are_brace_balanced(text, expected):
    assert boxed(text) == expected


def test_quirk_the_brace_stays_where_a_percent_sign_follows_it():
    assert extract("gsm8k", "", "\\boxed{3}%") == "3}"


def test_quirk_a_box_without_braces_keeps_later_rules_out():
    assert extract("gsm8k", "", "\\boxed 5, the answer is 5") == ""


def test_last_answer_counts_outside_math():
    assert extract("cmath", "", "\\boxed{1} \\boxed{2}") == "2"
    assert extract("math", "", "\\boxed{1} \\boxed{2}") == ["1", "2"]


def test_answer_is_its_first_line_without_colons_periods_and_slashes():
    assert extract("gsm8k", "", "the answer is: 12./\nbecause") == "12"


def test_math_splits_at_commas_only_where_the_question_says_so():
    listed = "Give the roots separated by commas."
    assert extract("math", listed, "\\boxed{1, 2}") == ["1", "2"]
    assert extract("math", listed, "\\boxed{(1, 2)}") == ["(1,2)"]
    assert extract("math", "Give the roots.", "\\boxed{1, 2}") == ["1,2"]


def test_math_splits_at_and():
    assert extract("math", "", "\\boxed{1 \\text{ and } 2}") == ["1", "2"]


def test_gold_of_math_is_read_from_its_solution():
    assert gold_answer("math", "", "Since 3 > 2, it is $\\boxed{\\dfrac32}$.") == ["\\frac{3}{2}"]


def test_gold_of_the_others_is_the_string_without_commas():
    assert gold_answer("gsm8k", "", "1,234") == "1234"
