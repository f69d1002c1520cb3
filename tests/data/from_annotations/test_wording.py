"""Comments and names."""

import pytest

from dsmath.data.from_annotations import wording
from dsmath.data.from_annotations.arithmetic import Number
from dsmath.data.from_annotations.wording import Given


def comment(text, own=(), question="Of 8 mice", code=(), earlier=None, later=()):
    return wording.comment(text, code, [Number(float(n)) for n in own], Given.of(question), earlier or {}, later)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs $9 now", "It costs now"),
        ("It grew by 9%, to 9€ each", "It grew by, to each"),
        ("The nine eat 8 nuts", "The eat 8 nuts"),
        ("Nine out of 9.5", "out of 9.5"),
        ("It is 9/2 of 19", "It is 9/2 of 19"),  # no result, but a part of a fraction
    ],
)
def test_a_result_goes_with_its_signs_and_nothing_else_does(text, expected):
    assert comment(text, own=[9]) == expected


def test_other_numbers_are_the_questions_or_earlier_results_or_dropped_as_later_ones():
    assert comment("8 of 17, 23 and 60", earlier={"voles": 17.0}, later=[23.0]) == "8 of voles, and 60"


def test_a_number_of_the_question_stays_if_the_code_takes_it_as_it_is():
    assert comment("The 8 get 8", own=[8], code=["x = 64 / 8"]) == "The 8 get 8"
    assert comment("The 8 get 8", own=[8], code=["x = 4 + 4"]) == "The get"


def test_a_comment_ends_in_no_loose_words_or_signs():
    assert comment("So the price for it is equal to = $ (") == "So the price for it"


@pytest.mark.parametrize(
    ("lead", "tail", "name"),
    [
        ("So he has", " red apples in the basket, and pears", "red_apples_basket"),
        ("The price of the red hat is", ".", "price_red_hat"),
        ("Costs of the crust:", "", "costs_crust"),
        ("", " for print", "print_1"),
        ("", "", "step"),
    ],
)
def test_a_variable_is_named_by_the_words_around_its_result(lead, tail, name):
    assert wording.name(lead, tail) == name
