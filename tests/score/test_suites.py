"""The table of suites."""

import pytest

from dsmath.error import UserError
from dsmath.score import suites


def test_sizes_are_the_published_ones():
    sizes = {name: suite.size for name, suite in suites.SUITES.items()}
    assert sizes == {"embedded": None, "gsm8k": 1319, "math": 5000, "mgsm_zh": 250, "cmath": 1098}


def test_unknown_suite_names_the_known_ones():
    with pytest.raises(UserError, match="'aime'; expected one of: embedded, gsm8k"):
        suites.find("aime")
