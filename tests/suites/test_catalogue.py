"""The table of suites."""

import pytest

from dsmath.error import UserError
from dsmath.score import graders
from dsmath.suites import catalogue


def test_sizes_are_the_published_ones():
    sizes = {name: suite.size for name, suite in catalogue.SUITES.items()}
    assert sizes == {
        "embedded": None,
        "gsm8k": 1319,
        "math": 5000,
        "mgsm_zh": 250,
        "cmath": 1098,
        "math500": 500,
        "svamp": 1000,
        "asdiv": 2215,
        "mawps": 2065,
    }


@pytest.mark.parametrize("grader", ["reference", "strict", "math_verify"])
def test_math500_is_graded_as_math(grader):
    solution = r"The roots are $\boxed{1}$ and $\boxed{\frac{1}{2}}$."
    question = "What are the roots? Enter them separated by commas."
    for output in (r"\boxed{0.5} and \boxed{1}", r"\boxed{2} and \boxed{1}", r"\boxed{1, \frac12}", "none"):
        math, math500 = (graders.grade(s, question, solution, output, grader=grader) for s in ("math", "math500"))
        assert math == math500


def test_unknown_suite_names_the_known_ones():
    with pytest.raises(UserError, match="'aime'; expected one of: embedded, gsm8k"):
        catalogue.find("aime")
