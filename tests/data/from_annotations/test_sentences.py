"""Equations in sentences."""

import pytest

from dsmath.data.from_annotations import arithmetic, sentences


def sides(sentence: str, unknowns: str = "") -> list[list[str]]:
    """The sides of each calculation as Python."""
    shown = sentences.calculations(sentence, frozenset(unknowns))
    return [[arithmetic.python(side) for side in each.sides] for each in shown]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Of 5 hens 3 lay 4 + 3 = 7 eggs.", [["4 + 3", "7"]]),  # words before an expression end in no sign
        ("5 red hens in the yard + 3 hens that flew off = 8", [["5 + 3", "8"]]),
        ("2 * 3 = 6, 6 - 1 = 5", [["2 * 3", "6"], ["6 - 1", "5"]]),
        ("2 * 9 + 1 = 18 + 1 = 19", [["2 * 9 + 1", "18 + 1", "19"]]),
        ("(which is 5 + 3 = 8)", [["5 + 3", "8"]]),
        ("25 + 1 = 26 times", [["25 + 1", "26"]]),
        ("26 times 2 equals 52", [["26 * 2", "52"]]),
        ("12 divided by 4 is equal to 3", [["12 / 4", "3"]]),
        ("12 divided by 4 equals about 3", [["12 / 4", "3"]]),
        ("4 km/h * 3 h = 12 km", [["4 * 3", "12"]]),
        ("after the 2nd turn + 4", []),
        ("a 10-minute walk", []),
        ("at 10:30 and 11:45", []),
        ("1,250 x 4 = 5,000", [["1250 * 4", "5000"]]),
        ("2 / 3 = 66.66...%", [["2 / 3", "(66.66 / 100)"]]),
        ("2 and 1/2 + 1 1/2 = 4", [["(2 + 1 / 2) + (1 + 1 / 2)", "4"]]),
    ],
)
def test_sides_are_numbers_and_signs_without_units(sentence, expected):
    assert sides(sentence) == expected


def test_an_annotations_result_is_its_last_side_and_may_start_the_next_calculation():
    first, second = sentences.calculations("He has 5 - 2 = <<5-2=3>>3 + 4 = <<3+4=7>>7 figs.")
    assert (first.annotation, second.annotation) == ("5-2=3", "3+4=7")
    assert [arithmetic.python(side) for side in second.sides] == ["3 + 4", "7"]


def test_unknowns_are_letters_that_stand_where_a_number_could():
    assert sides("a = 5a - 8", "a") == [["a", "5 * a - 8"]]
    assert sides("Each costs 3 a day, so 2(a + 1) = 8", "a") == [["2 * (a + 1)", "8"]]
    assert sides("In 3 days (a + 1 = 4)", "a") == [["a + 1", "4"]]
    assert sides("3/4b + b/2 = 5", "b") == [["3 / 4 * b + b / 2", "5"]]
    assert sides("5 b + 2 b = 7 b") == [["5 + 2", "7"]]  # a unit


def test_a_calculation_starts_and_ends_where_its_text_does():
    sentence = "They cost $2 + $3 = $<<2+3=5>>5 each."
    (shown,) = sentences.calculations(sentence)
    assert sentence[shown.starts[0] : shown.end] == "$2 + $3 = $<<2+3=5>>5"
