"""Which answer `strict` reads in a response."""

import pytest

from dsmath.answers.question import readings
from dsmath.score.strict.extraction import extract, gold_answer

SEVERAL = "Enter all values, separated by commas."


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("First $\\boxed{7}$, then $\\boxed{8}$.", "8"),
        ("So \\fbox{8} it is.", "8"),
        ("So \\boxed 8, as said.", "8"),
        ("So $\\boxed8$.", "8"),
        ("So $\\boxed \\frac{1}{2}$.", "\\frac{1}{2}"),
        ("So $\\boxed \\text{\\frac{9}{7}}$.", "\\text{\\frac{9}{7}}"),
        ("So $\\boxed 1,234, then$", "1,234"),
        ("Put it into \\boxed{}. The answer is 8.", "8"),
        ("So \\boxed{\\text{a \\{ b}} c}", "\\text{a \\{ b}"),
        ("an open \\boxed{1{ and a closed \\boxed{2}", "2"),
        ("The answer is 7. \\boxed{8}", "8"),
        ("The final answer is $8$. I hope it is correct.", "$8$"),
        ("the answer is: 8.5", "8.5"),
        ("The answer is 7. No, the answer is 8.", "8"),
        ("Answer: 8", "8"),
        ("**Answer:** 8", "8"),
        ("**The answer is 8**", "8"),
        ("The answer is 5! = 120.", "5! = 120"),
        ("#### 1,234", "1,234"),
        ("所以答案是8元。谢谢", "8元"),
        ("做了3步。答案：8", "8"),
        ("做了3步。因此，一共有8个。", "8"),
        ("We get 8 + 0", "0"),
        ("\\boxed 2*(8 + 0)/2", "2*(8"),
        ("The answer is that Ann has 3 boxes and Bob has 8 boxes.", "8"),
        ("The answer is that all of them are $x + 1$.", "x + 1"),
        ("It was 7.\n```output\n1\n8\n```\nFine.", "8"),
        ("Then 7, and at last 8 apples.", "8"),
        ("at last 1,234.5.", "1,234.5"),
        ("at last 60%.", "60%"),
        ("at last 3/4 of it", "3/4"),
        ("at last 1 3/4 of it", "1 3/4"),
        ("at last $\\frac{3}{4}$.", "\\frac{3}{4}"),
        ("12-5 = -7", "-7"),
        ("which is 12-7", "7"),
        ("an area of 8 cm^2", "8"),
        ("8 \\boxed{never closed", "8"),
        ("nothing here", ""),
        ("", ""),
    ],
)
def test_answer(text, answer):
    assert extract("gsm8k", "How many?", text) == answer


def test_percent_sign_behind_a_box_leaves_two_readings():
    for sign in ("%", "\\%", "$\\%", "％"):
        answer = extract("gsm8k", "", f"So $\\boxed{{3}}{sign}$.")
        assert readings(answer) == ("3", "3\\%")
    assert readings(extract("gsm8k", "", "\\boxed{3\\%}")) == ("3\\%",)


def test_all_boxes_are_read_where_the_question_wants_several_answers():
    text = "\\boxed{1}, \\boxed{2}, and again \\boxed{1}"
    assert extract("math", SEVERAL, text) == ["1", "2"]
    assert extract("math", "How many?", text) == "1"


def test_gold_of_math_is_read_in_the_solution_and_others_are_the_answer():
    assert gold_answer("math", "", "Hence \\boxed{5} of them.") == "5"
    assert gold_answer("cmath", "", " 1/5 ") == "1/5"


def test_long_texts_are_read_in_linear_time():
    for text in (
        "\\boxed{5" * 100_000,
        "{" * 500_000 + "}" * 500_000,
        "a 1 " * 250_000,
        "the answer is " + "a" * 10**6,
    ):
        extract("gsm8k", "", text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"So $x=\boxed{2}$ and $\boxed{3}$.", ["2", "3"]),
        (r"\boxed{1},\boxed{2}", ["1", "2"]),
        (r"\boxed{1}, \boxed{2}, and \boxed{3}", ["1", "2", "3"]),
        (r"\boxed{1}\text{ and }\boxed{2}", ["1", "2"]),
        (r"\boxed 2 和 \boxed 3", ["2", "3"]),
        (r"First \boxed{7}. Then \boxed{2} and \boxed{3}.", ["2", "3"]),
        (r"\boxed{5}, \boxed{5}", "5"),
        (r"\boxed{12x-34}, or $\boxed{-34+12x}$", "-34+12x"),
        ("$\\boxed{5}$,\n\n$\\boxed{6}$", "6"),
    ],
)
def test_boxes_of_one_enumeration_are_a_list_in_golds_as_well(text, answer):
    assert extract("math", "Solve it.", text) == answer
    assert gold_answer("math", "Solve it.", text) == answer
