r"""Symbolic equality of two answers by SymPy, as the reference protocol has it.

SymPy's LaTeX parser works with one version of its antlr runtime only, and says so by an ImportError that is easily
swallowed: then `\frac{1}{3}` and `0.3333` differ in silence. `check_parser` finds that out before anything is graded.

SymPy's other parser, `parse_expr`, evaluates its input as Python. Model output reaches it only if every token of it is
a number, an operator, a symbol, or a name of `_NAMES`.
"""

import builtins
import functools
import io
import itertools
import keyword
import math
import re
import token
import tokenize
import types
from typing import Any

from dsmath.error import UserError

TOLERANCE = 1e-3  # absolute; reference protocol

# The names of SymPy that an expression may use. Every other name in it is a symbol.
_CONSTANTS = ("pi", "E", "I", "oo")
_FUNCTIONS = (
    "Abs",
    "Rational",
    "sqrt",
    "cbrt",
    "root",
    "exp",
    "log",
    "ln",
    "factorial",
    "binomial",
    "floor",
    "ceiling",
)
_TRIGONOMETRY = ("sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "sinh", "cosh", "tanh")
_NAMES = frozenset((*_CONSTANTS, *_FUNCTIONS, *_TRIGONOMETRY))
_ARITHMETIC = ("+", "-", "*", "/", "//", "%", "**", "!", "(", ")", "[", "]", ",")
_COMPARISON = ("<", ">", "<=", ">=", "==", "!=")
_BITWISE = ("^", "&", "|", "~", "<<", ">>")  # SymPy's integers have them
_OPERATORS = frozenset((*_ARITHMETIC, *_COMPARISON, *_BITWISE))
_SYMBOL = re.compile(r"[^\W\d_][^\W_]*(_[^\W_]+)*")
_NOT_SYMBOLS = frozenset((*dir(builtins), *keyword.kwlist))
_LONGEST = 2_000  # characters of an expression

# Pairs that tell a working parser from a broken one: LaTeX alone makes the first ones equal.
_KNOWN = (
    (r"\frac{1}{3}", "0.3333", True),
    (r"\sqrt{8}", r"2\sqrt{2}", True),
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}", True),
    (r"(x+1)^{2}", "x^{2}+2x+1", True),
    (r"\frac{\pi}{2}", r"0.5\pi", True),
    (r"\sqrt{2}", "1.4142", True),
    ("2^{10}", "1024", True),
    (r"\sqrt[3]{27}", "3", True),
    (r"\frac{1}{3}", r"\frac{1}{2}", False),
    (r"\sqrt{2}", r"\sqrt{3}", False),
    ("x+1", "x-1", False),
    (r"\frac{\pi}{3}", r"\frac{\pi}{4}", False),
)


@functools.cache
def check_parser() -> None:
    """Raise UserError unless LaTeX is parsed and known pairs get their verdicts."""
    for a, b, expected in _KNOWN:
        if _symbolic_equal(a, b) != expected:
            raise UserError(
                f"the grader finds {a} and {b} {'different' if expected else 'equal'}: SymPy's LaTeX parser needs the "
                "version of antlr4-python3-runtime that setup.py names; reinstall with `pip install -e .`"
            )


def symbolic_equal(a: str, b: str) -> bool:
    """The difference simplifies to zero, or both have real values that are closer than TOLERANCE.

    Raises UserError if the parser does not work.
    """
    check_parser()
    return _symbolic_equal(a, b)


def _symbolic_equal(a: str, b: str) -> bool:
    import sympy

    x, y = parse(a), parse(b)
    if _attempt(lambda: bool(sympy.simplify(x - y) == 0)):
        return True
    return bool(_attempt(lambda: math.isclose(_value(x), _value(y), abs_tol=TOLERANCE)))


def parse(text: str) -> Any:
    """`text` read as LaTeX, else as an expression, else as it is."""
    for parser in (_latex, _expression):
        if (parsed := _attempt(lambda parser=parser: parser(text))) is not None:
            return parsed
    return text


def _attempt(action) -> Any:
    """The action's result, or None if it raises."""
    try:
        return action()
    except Exception:  # noqa: BLE001  on arbitrary input SymPy raises anything, from TokenError to AttributeError
        return None


def _value(x: Any) -> Any:
    """The numeric value. Text that no parser took is read once more, with `^` as power; so does the reference."""
    import sympy

    if isinstance(x, str):
        x = _expression(x, power="^")
    return sympy.N(x)


def _latex(text: str) -> Any:
    from sympy.parsing.latex import parse_latex

    return parse_latex(text)


def _expression(text: str, *, power: str = "**") -> Any:
    """`text` read by SymPy's `parse_expr`. Raises ValueError for anything that isn't plain arithmetic."""
    from sympy.parsing import sympy_parser

    check_tokens(text)
    transformations = sympy_parser.standard_transformations
    if power == "^":
        transformations = (*transformations, sympy_parser.rationalize, sympy_parser.convert_xor)
    return sympy_parser.parse_expr(text, transformations=transformations, global_dict=dict(_globals()))


def check_tokens(text: str) -> None:
    """Raise ValueError unless `text` consists of numbers, operators, symbols and the names of `_NAMES`.

    No strings, no attributes, no keywords or builtins, no assignments, and of the symbols only single letters may be
    called, as `f(x)` is: what passes can neither call nor import anything else.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"{len(text)} characters; expected at most {_LONGEST}")
    pieces = list(tokenize.generate_tokens(io.StringIO(text.strip()).readline))
    for piece, following in itertools.zip_longest(pieces, pieces[1:]):
        kind, string = piece.type, piece.string
        if kind == token.NAME:
            is_called = following is not None and following.string == "("
            is_symbol = _SYMBOL.fullmatch(string) and string not in _NOT_SYMBOLS
            allowed = string in _NAMES or (is_symbol and (len(string) == 1 or not is_called))
        elif kind in (token.OP, token.ERRORTOKEN):
            allowed = string in _OPERATORS
        else:
            allowed = kind in (token.NUMBER, token.COMMENT, token.NEWLINE, token.ENDMARKER)  # quirk: 3#4 is 3
        if not allowed:
            raise ValueError(f"{string!r} in an expression; expected numbers, operators and symbols")


@functools.cache
def _globals() -> types.MappingProxyType[str, Any]:
    """What an expression can name: `_NAMES`, and the classes that SymPy's transformations write into it."""
    import sympy

    names = _NAMES | {"Symbol", "Integer", "Float", "Rational", "Function", "factorial", "factorial2"}
    return types.MappingProxyType({"__builtins__": {}} | {name: getattr(sympy, name) for name in names})
