"""Arithmetic as solutions write it, read and written as Python.

An expression is a tuple of numbers, the signs + - * / // ( ), and letters that stand for unknowns: `4(3+2x)` is
4 * ( 3 + 2 * x ). Products that are only understood are spelt out.
"""

import ast
import dataclasses
import math
import re
from collections.abc import Callable, Iterable

DIGITS = r"(?:\d{1,21}(?:,\d{1,21}){0,7}(?:\.\d{1,20})?|\.\d{1,20})"
_TOKEN = re.compile(
    r"(?<![/\d.])(?P<top>\d{1,9})/(?P<bottom>[1-9]\d{0,8})(?![\d/.%])"
    r"|(?P<number>[\d.,]+)(?P<percent>%)?|(?P<sign>//|[-+*/()])|(?P<other>\S)"
)
_TIMES = re.compile(r"\bx\b|(?<=\d)x(?=[\d(.])|×", re.IGNORECASE)
_OPERATIONS = {"+", "-", "*", "/", "//"}
_CLOSE = 1e-6  # relative, near 0 absolute; programs compute in floats, answers are exact
_MOST_TOKENS = 120  # more than that is no step of a solution, and nested expressions cost stack


class Unreadable(ValueError):
    """A text that is no expression, or an expression without the value that was asked for."""


@dataclasses.dataclass(frozen=True)
class Number:
    """A number as it stands in a text: 1,250 or 20% or 2/3 or 1 1/2."""

    top: float
    bottom: float | None = None
    whole: float | None = None
    percent: bool = False
    tight: bool = False  # a fraction that binds closer than its neighbours: 2 / 1/4 is 8

    @property
    def value(self) -> float:
        """Without the percent sign: 20 for 20%."""
        return (self.whole or 0.0) + (self.top if self.bottom is None else self.top / self.bottom)


Expression = tuple[str | Number, ...]


def number(text: str) -> float:
    """The value of digits, perhaps with commas or in dollars. Raises Unreadable."""
    try:
        return float(text.replace(",", "").replace("$", ""))
    except ValueError as e:
        raise Unreadable(text) from e


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_CLOSE, abs_tol=_CLOSE)


def literal(value: float) -> str:
    return str(int(value)) if value.is_integer() else str(value)


def parse(text: str) -> Expression:
    """The expression that a text without letters is, as in 50(60+40) or 20%*25,000. Raises Unreadable."""
    text = _TIMES.sub("*", text).replace("÷", "/").replace("$", "")
    tokens: list[str | Number] = []
    for match in _TOKEN.finditer(text):
        if match["other"]:
            raise Unreadable(text)
        if match["top"]:
            token: str | Number = Number(float(match["top"]), float(match["bottom"]))
        else:
            token = match["sign"] or Number(number(match["number"]), percent=bool(match["percent"]))
        closed = bool(tokens) and (isinstance(tokens[-1], Number) or tokens[-1] == ")")
        if closed and (token == "(" or isinstance(token, Number)):
            if isinstance(tokens[-1], Number) and isinstance(token, Number):
                raise Unreadable(text)
            tokens.append("*")
        tokens.append(token)
    if tokens[:1] == ["+"]:  # what follows a variable, as in x + 30 + 46 = x + <<+30+46=76>>76
        tokens = tokens[1:]
    value(tuple(tokens))
    return tuple(tokens)


def sides(equation: str) -> tuple[Expression, float]:
    """The expression and the result of an equation like 3/4*100%=75%. Raises Unreadable."""
    left, _, right = equation.partition("=")
    right = right.rpartition("=")[2].replace("$", "").strip()
    if right.endswith("%"):
        left, right = left.replace("%", ""), right[:-1]
    return parse(left), number(right)


def python(expression: Expression, operand: Callable[[Number], str | None] = lambda _: None) -> str:
    """An expression as Python; `operand` gives the variable that stands for a number, None for none."""

    def written(token: str | Number, before: str | Number = "") -> str:
        if isinstance(token, str):
            return token
        plain = dataclasses.replace(token, percent=False, tight=False)
        apart = token.bottom is not None and not token.tight and before in ("/", "//")  # 6 / 2/3 is 6 / 2 / 3
        if apart or not (text := operand(plain)):
            text = literal(token.top)
            if token.bottom is not None:
                top, bottom = (written(Number(part)) for part in (token.top, token.bottom))
                text = f"{top} / {bottom}"
            if token.whole is not None:
                text = f"({literal(token.whole)} + {text})"
            elif token.tight:
                text = f"({text})"
        return f"({text} / 100)" if token.percent else text

    text = " ".join(map(written, expression, ("", *expression))).replace("( ", "(").replace(" )", ")")
    return re.sub(r"\((\w+(?:\.\d+)?)\)", r"\1", text)  # no brackets around one number


def value(expression: Expression, letters: dict[str, float] | None = None) -> float:
    """The value of an expression, unknowns by letter. Raises Unreadable."""
    slope, rest = _line(expression, letters or {}, None)
    assert not slope
    return rest


def solution(left: Expression, right: Expression, letter: str) -> float:
    """The one value of a letter with which two expressions are equal. Raises Unreadable if it isn't linear."""
    (a, b), (c, d) = (_line(side, {}, letter) for side in (left, right))
    if abs(a - c) < 1e-9:
        raise Unreadable(letter)
    return (d - b) / (a - c)


def letters(expression: Iterable[str | Number]) -> set[str]:
    return {token for token in expression if isinstance(token, str) and token.isalpha()}


def is_number(expression: Expression) -> bool:
    """Whether an expression is one number, perhaps below zero."""
    return len(expression) in (1, 2) and isinstance(expression[-1], Number) and expression[:-1] in ((), ("-",))


def calculates(expression: Expression) -> bool:
    """Whether an expression holds an operation; the bar of a fraction is one."""
    fraction = any(isinstance(token, Number) and token.bottom is not None for token in expression)
    return fraction or any(isinstance(token, str) and token in _OPERATIONS for token in expression[1:])


def without_percents(expression: Expression) -> Expression:
    return tuple(dataclasses.replace(t, percent=False) if isinstance(t, Number) else t for t in expression)


def with_tight_fractions(expression: Expression) -> Expression:
    return tuple(
        dataclasses.replace(t, tight=True) if isinstance(t, Number) and t.bottom is not None else t for t in expression
    )


def in_percent(expression: Expression) -> Expression:
    """A hundred times an expression."""
    signs = {token for token in expression if isinstance(token, str)}
    whole = ("(", *expression, ")") if signs & {"+", "-"} else expression
    return (*whole, "*", Number(100.0))


def _line(expression: Expression, values: dict[str, float], letter: str | None) -> tuple[float, float]:
    """a and b of an expression that is a * letter + b."""

    def line(node: ast.expr) -> tuple[float, float]:
        match node:
            case ast.BinOp(left, op, right):
                return _combined(line(left), op, line(right))
            case ast.UnaryOp(ast.USub(), operand):
                a, b = line(operand)
                return -a, -b
            case ast.Constant(int() | float() as constant):
                return 0.0, float(constant)
            case ast.Name(name) if name == letter:
                return 1.0, 0.0
            case ast.Name(name) if name in values:
                return 0.0, values[name]
        raise Unreadable(ast.dump(node))

    if len(expression) > _MOST_TOKENS:
        raise Unreadable("too long")
    try:
        return line(ast.parse(python(expression), mode="eval").body)
    except (SyntaxError, ZeroDivisionError, OverflowError) as e:
        raise Unreadable(python(expression)) from e


def _combined(left: tuple[float, float], op: ast.operator, right: tuple[float, float]) -> tuple[float, float]:
    (a, b), (c, d) = left, right
    match op:
        case ast.Add():
            return a + c, b + d
        case ast.Sub():
            return a - c, b - d
        case ast.Mult() if not (a and c):
            return a * d + b * c, b * d
        case ast.Div() if not c:
            return a / d, b / d
        case ast.FloorDiv() if not (a or c):
            return 0.0, b // d
    raise Unreadable(type(op).__name__)
