"""Parsing: LaTeX, then plain arithmetic; never Python."""

import pytest

from dsmath.error import UserError
from dsmath.score.reference import symbolic


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch x')",
        "().__class__",
        "x.func",
        "print(1)",
        "open(1)",
        "sympify(1)",
        "lambda: 1",
        "x if y else z",
        "[x for x in y]",
        "x := 1",
        "x = 1",
        "f'{x}'",
        "'x'",
        "x; y",
        "{1: 2}",
        "@x",
        "parse_expr(x)",
        "eval",
        "__builtins__",
        "x__y",
    ],
)
def test_python_is_no_expression(text):
    with pytest.raises(ValueError, match="expected numbers, operators and symbols"):
        symbolic.check_tokens(text)


@pytest.mark.parametrize("text", ["2**3 + x_1", "alpha**2", "f(x)", "sqrt(2)/2", "5!", "(a + b)*pi", "1.5e3", "[1, 2]"])
def test_arithmetic_is_an_expression(text):
    symbolic.check_tokens(text)


def test_expressions_see_no_builtins_and_nothing_but_whitelisted_names():
    names = symbolic._globals()
    assert names["__builtins__"] == {}
    assert not {"open", "eval", "sympify", "S", "N", "lambdify", "preview"} & set(names)


def test_code_in_an_answer_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for code in ("__import__('os').system('touch x')", "open('x','w')", "\\mathrm{__import__('os').system('touch x')}"):
        assert not symbolic.symbolic_equal(code, "5")
    assert list(tmp_path.iterdir()) == []


def test_quirk_what_follows_a_hash_is_a_comment():
    assert symbolic.symbolic_equal("3#4", "3")


def test_python_powers_reach_the_second_parser():
    assert symbolic._expression("2**3") == 8
    assert symbolic._expression("2^3", power="^") == 8


def test_a_parser_that_parses_no_latex_is_refused(monkeypatch):
    def broken(text):
        raise ImportError("LaTeX parsing requires the antlr4 Python package, version 4.11")

    monkeypatch.setattr(symbolic, "_latex", broken)
    symbolic.check_parser.cache_clear()
    with pytest.raises(UserError, match="antlr4-python3-runtime"):
        symbolic.symbolic_equal("1", "2")
    monkeypatch.undo()
    symbolic.check_parser()
