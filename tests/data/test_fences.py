"""Solutions taken apart into turns, programs that print what a notebook shows, and answers that are said."""

import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsmath.data.source import Unusable
from dsmath.data.sources import golds
from dsmath.data.sources.fences import FENCES, LLM_CODE, printing, turns
from tests.data.samples import program

PROSE = st.text("ab .,=\\{}$\n", min_size=1).filter(lambda text: text.strip())
CODE = st.text("xy=+1() \n'#", min_size=1).map(lambda code: code.strip("\n").rstrip()).filter(lambda code: code.strip())
STEPS = st.lists(st.tuples(PROSE, CODE, st.text("01 \n")), min_size=1, max_size=4)


@settings(deadline=None)
@given(STEPS, PROSE, st.sampled_from([FENCES, LLM_CODE]))
def test_turns_are_the_prose_and_programs_that_were_put_together(steps, last, marks):
    text = "".join(
        f"{before}{marks.code}\n{code}\n{marks.code_end.lstrip()}\n{marks.output}\n{printed}\n{marks.output_end.lstrip()}\n"
        for before, code, printed in steps
    )
    found = turns(text + last, marks)
    assert found == (*(f"{before.strip()}\n{program(code)}" for before, code, _ in steps), last.strip())


OUTPUT = "```output\n1\n```\n"


@pytest.mark.parametrize(
    ("solution", "reason"),
    [
        ("It is one.", "no program"),
        ("Look: ```python\nprint(1)", "a program is cut short"),
        (f"Look: ```python\n\n```\n{OUTPUT}One.", "an empty program"),
        ("Look: ```python\nprint(1)\n```\nOne.", "a program without an output"),
        ("Look: ```python\nprint(1)\n```\n```output\n1", "an output is cut short"),
        (f"Look: ```python\nprint(1)\n```\n{OUTPUT}", "nothing follows the last output"),
        (f"Look: ```python\nprint(1)\n```\n{OUTPUT}{OUTPUT}One.", "another fence"),
        (f"Look: ```sh\nls\n```\n```python\nprint(1)\n```\n{OUTPUT}One.", "another fence"),
        (f"Look: ```python\nprint(1)\n```\n{OUTPUT}```latex\nx\n```", "another fence"),
    ],
)
def test_what_is_no_prose_and_programs_in_turn_is_unusable(solution, reason):
    with pytest.raises(Unusable, match=f"^{reason}$"):
        turns(solution, FENCES)


def ran(code: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, {})
    return out.getvalue()


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("x = 6\nx * 7", "42"),
        ("x = 6; x * 7  # seats", "42"),
        ("x = '米'; y = 6; (x,\n y)", "('米', 6)"),
        ("def f(x):\n    return x\n\nf(7)\n", "7"),
        ("print(3)", "3"),
        ("x = 3\nprint(x)\nx = 4", "3"),
    ],
)
def test_a_program_prints_its_last_expression_and_else_stays(code, printed):
    assert ran(printing(code)).strip() == printed
    assert (printing(code) == code) == (ran(code) != "")
    assert printing(printing(code)) == printing(code)


def test_what_is_not_python_does_not_print():
    with pytest.raises(Unusable, match="a program isn't Python"):
        printing("x = = 3")


@pytest.mark.parametrize(
    ("solution", "boxed", "answer"),
    [
        ("So 3 * 4 = 12.\nThe answer is 12.", "So 3 * 4 = 12.\nThe answer is \\boxed{12}.", "12"),
        ("The answer is 1? No. The answer is: $2.5$", "The answer is 1? No.\nThe answer is \\boxed{2.5}.", "2.5"),
        ("The answer is (C).", "The answer is \\boxed{(C)}.", "(C)"),
        ("It is $\\boxed{7}$. The answer is 8.", "It is $\\boxed{7}$.", "8"),
    ],
)
def test_an_answer_that_is_said_is_boxed_unless_there_is_a_box(solution, boxed, answer):
    assert golds.said(solution) == (boxed, answer)


@pytest.mark.parametrize(
    ("solution", "reason"),
    [
        ("It is 12.", "no answer is said"),
        ("The answer is", "no answer is said"),
        ("The answer is .", "what is said is no answer"),
        ("The answer is 3}{4.", "what is said is no answer"),
        ("The answer is $3$ and $4$.", "what is said is no answer"),
        ("The answer is 3.\nOr so.", "what is said is no answer"),
        (f"The answer is {'very ' * 50}long", "what is said is no answer"),
    ],
)
def test_what_has_no_place_in_a_box_is_unusable(solution, reason):
    with pytest.raises(Unusable, match=reason):
        golds.said(solution)


def test_the_gold_of_a_solution_is_what_it_boxes():
    assert golds.boxed("Find $x$.", "First $\\boxed{1}$, then $\\boxed{\\frac{1}{2}}$.") == "\\frac{1}{2}"
    assert golds.boxed("Find all $x$.", "They are $\\boxed{1}$ and $\\boxed{2}$.") == "1, 2"
    with pytest.raises(Unusable, match="no box"):
        golds.boxed("Find $x$.", "The answer is 3.")
