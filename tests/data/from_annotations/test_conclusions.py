"""Answers that follow from a result."""

import pytest

from dsmath.data.from_annotations.conclusions import conclusion


@pytest.mark.parametrize(
    ("result", "gold", "text", "python"),
    [
        (0.35, 35, "What percent?", "{} * 100"),
        (0.35, 35, "How much is it?", None),  # nobody speaks of percent
        (0.35, 35, "How many cents, of $2?", "{} * 100"),
        (90, 1.5, "90 minutes are how many hours?", "{} / 60"),
        (90, 1.5, "90 minutes are how long?", None),
        (6.25, 7, "?", "math.ceil({})"),
        (6.25, 6, "?", "math.floor({})"),
        (6.25, 6, "To the nearest ton?", "round({})"),
        (0.334, 33, "To the nearest percent?", "round({} * 100)"),
        (6.25, 8, "To the nearest ton?", None),
        (6.0, 7, "?", None),  # nothing to round
        (6.25, 6.5, "?", None),
    ],
)
def test_an_answer_follows_if_the_problem_speaks_of_it(result, gold, text, python):
    found = conclusion(result, float(gold), text)
    assert (found and found.python) == python
