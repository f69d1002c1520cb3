"""Every step of the reference protocol's normalisation, by a case of its own."""

import pytest

from dsmath.score.reference.normalise import normalise


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (" 1\n2 ", "12"),
        ("7.", "7"),
        ("1{,}\\!000", "1{,}000"),
        ("\\left(1,2\\right)", "(1,2)"),
        ("\\dfrac{1}{2}", "\\frac{1}{2}"),
        ("\\tfrac12", "\\frac{1}{2}"),
        ("\\cfrac{1}{2}", "\\frac{1}{2}"),
        ("\\frac1{72}", "\\frac{1}{72}"),
        ("\\frac{72}1", "\\frac{72}1"),
        ("3/4", "\\frac{3}{4}"),
        ("-3/4", "\\frac{-3}{4}"),
        ("03/4", "03/4"),
        ("x/4", "x/4"),
        ("\\sqrt3/4", "\\frac{\\sqrt{3}}{4}"),
        ("\\sqrt3", "\\sqrt{3}"),
        ("\\sqrt x", "\\sqrt{x}"),
        ("\\tan x", "\\tan{x}"),
        ("\\text{even}", "even"),
        ("12\\text{ apples}", "12"),
        ("\\mbox{about }12", "12"),
        ("\\mathbf{v}", "{v}"),
        ("\\mathrm{v}", "{v}"),
        ("90^\\circ", "90"),
        ("90^{\\circ}", "90"),
        ("5{cm}^2", "5"),
        ("5{m}", "5"),
        ("5{mm}^3", "5"),
        ("8p.m.\\text{ sharp}", "8"),
        ("40 t", "40"),
        ("\\$12", "12"),
        ("$12$", "12"),
        ("x\\in[0,1]", "[0,1]"),
        ("50\\%", "50%"),
        ("(-infinity,0)", "(-\\infty,0)"),
        ("(-inf,0)", "(-\\infty,0)"),
        ("3+2j", "3+2i"),
        ("ij", "ij"),
        ("12.000", "12"),
        ("12.0x", "12x"),
        ("12.001", "12.001"),
        (".5", "0.5"),
        ("{.5}", "{0.5}"),
        ("1 000", "1000"),
        ("5,.\\", "5"),
        ("", ""),
    ],
)
def test_step(raw, expected):
    assert normalise(raw) == expected


def test_quirk_a_product_with_cdot_becomes_one_number():
    assert normalise("2\\cdot3") == "23"


def test_quirk_a_fraction_that_ends_too_early_leaves_all_fractions_alone():
    assert normalise("\\frac12+\\frac1") == "\\frac12+\\frac1"


def test_quirk_a_final_period_goes_before_the_afternoon_is_recognised():
    assert normalise("8p.m.") == "8p.m"


def test_quirk_units_of_chinese_stay():
    assert normalise("12元") == "12元"
