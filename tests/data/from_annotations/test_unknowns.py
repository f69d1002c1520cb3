"""Unknowns of solutions."""

import pytest

from dsmath.data.from_annotations import sentences, unknowns


def found(*texts: str, gold: float | None = None) -> unknowns.Unknown | None:
    letters = unknowns.letters("\n".join(texts))
    return unknowns.unknown([sentences.calculations(text, letters) for text in texts], gold)


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("so x = 5", "x"),
        ("5 = x, y=2", "xy"),
        ("3x = 15", ""),
        ("8 m = 800 cm", ""),
        ("1000 ml/L = 1", ""),
        ("wax = 4", ""),
    ],
)
def test_letters_are_unknowns_if_they_stand_alone_on_a_side(text, letters):
    assert unknowns.letters(text) == frozenset(letters)


def test_the_first_equation_with_the_stated_solution_counts():
    x = found("2x + 1 = 10", "2x + 2 = 10", "2x = 8", "x = 4")  # the first has a slip
    assert (x.letter, x.value, x.sentence, x.stated) == ("x", 4, 1, 3)


def test_an_equation_of_two_unknowns_does_not_count():
    x = found("x + y = 9 and y = 2x", "x + 2x = 9", "x = 3")
    assert (x.letter, x.value, x.sentence) == ("x", 3, 1)


def test_a_solution_that_nobody_states_counts_only_as_the_answer():
    texts = ("x = 4 or so", "x + 2 = 9")
    assert found(*texts) is None
    assert found(*texts, gold=7).value == 7
