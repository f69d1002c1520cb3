"""Arithmetic as Ape210K writes it, read into a tree of exact numbers: `x=2.75-1(5/6)+30%*(4:8)`.

A bounded recursive descent over a fixed vocabulary; nothing is evaluated by Python. What stands in round brackets as
`(5/6)` is a fraction, behind an integer it makes a mixed number; `a/b` without brackets is a division.
"""

import dataclasses
import re
from collections.abc import Iterator
from fractions import Fraction

from dsmath.data.source import Unusable

LONGEST = 1_000  # characters of an equation; those of Ape210K have 235 at most
MOST_OPERATIONS = 100
DEEPEST = 40  # levels of brackets, signs and powers
MOST_DIGITS = 20  # of a number
LARGEST_EXPONENT = 64
MOST_BITS = 2_000  # of a value's numerator or denominator

UNREADABLE = "the equation is no arithmetic"
TOO_LARGE = "the equation is too large"
UNSOLVED = "the equation is not solved for x"

INTEGER, DECIMAL, PERCENT, FRACTION, MIXED = "integer", "decimal", "percent", "fraction", "mixed"

_PLAIN = str.maketrans(
    "０１２３４５６７８９．（）［］｛｝[]{}＋－−–×＊·÷／：∶＝％＾ｘＸX", "0123456789.()()()()()+---***//::=%^xxx"
)
_TOKEN = re.compile(
    rf"\s*(?:(?P<number>\d{{1,{MOST_DIGITS}}}(?:\.\d{{1,{MOST_DIGITS}}})?)(?![\d.])"
    r"|(?P<part>\(\s*(?P<above>\d{1,20})\s*/\s*(?P<below>\d{1,20})\s*\))|(?P<sign>\*\*|[-+*/:^()%]))",
    re.ASCII,
)


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A number as it was written."""

    kind: str  # integer, decimal, percent, fraction or mixed
    value: Fraction
    text: str  # of an integer, a decimal, a percent (without its sign)
    whole: int = 0  # of a mixed number
    above: int = 0  # numerator and denominator as they were written
    below: int = 1


@dataclasses.dataclass(frozen=True)
class Operation:
    """Two operands under one of + - * / **."""

    sign: str
    left: "Leaf | Operation"
    right: "Leaf | Operation"


Expression = Leaf | Operation


def equation(text: str) -> Expression:
    """What x is in an equation, `x=...` or `...=x`; a bare expression is one, too. Raises Unusable."""
    if len(text) > LONGEST:
        raise Unusable(TOO_LARGE)
    sides = text.translate(_PLAIN).split("=")
    unknown = [side.strip() == "x" for side in sides]
    if len(sides) > 2 or (len(sides) == 2 and sum(unknown) != 1):
        raise Unusable(UNSOLVED)
    side = sides[unknown.index(False)] if False in unknown else ""
    if "x" in side:
        raise Unusable(UNSOLVED)
    return read(side)


def read(text: str) -> Expression:
    """An expression without unknowns. Raises Unusable."""
    if len(text) > LONGEST:
        raise Unusable(TOO_LARGE)
    return _Reader(list(_tokens(text.translate(_PLAIN).strip()))).whole()


def value(sign: str, left: Fraction, right: Fraction) -> Fraction:
    """The value of an operation. Raises Unusable where there is none, or where it is large."""
    match sign:
        case "+":
            result = left + right
        case "-":
            result = left - right
        case "*":
            result = left * right
        case "/":
            if not right:
                raise Unusable("the equation divides by zero")
            result = left / right
        case _:
            result = _power(left, right)
    if max(result.numerator.bit_length(), result.denominator.bit_length()) > MOST_BITS:
        raise Unusable(TOO_LARGE)
    return result


def evaluate(expression: Expression) -> Fraction:
    """The exact value of an expression. Raises Unusable."""
    if isinstance(expression, Leaf):
        return expression.value
    return value(expression.sign, evaluate(expression.left), evaluate(expression.right))


def leaves(expression: Expression) -> Iterator[Leaf]:
    """The numbers of an expression, from left to right."""
    if isinstance(expression, Leaf):
        yield expression
    else:
        yield from leaves(expression.left)
        yield from leaves(expression.right)


def integer(n: int) -> Leaf:
    """A leaf of its own."""
    return Leaf(INTEGER, Fraction(n), str(n))


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or (not base and exponent < 0):
        raise Unusable(UNREADABLE)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) > LARGEST_EXPONENT or bits * abs(exponent) > MOST_BITS:
        raise Unusable(TOO_LARGE)
    return base ** int(exponent)


def _tokens(text: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise Unusable(UNREADABLE)
        yield token
        position = token.end()


class _Reader:
    """Recursive descent: sums of products of powers of numbers and brackets."""

    def __init__(self, tokens: list[re.Match[str]]):
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._operations = 0

    def whole(self) -> Expression:
        expression = self._sum()
        if self._at < len(self._tokens):
            raise Unusable(UNREADABLE)
        return expression

    def _sum(self) -> Expression:
        left = self._product()
        while sign := self._take("+", "-"):
            left = self._operation(sign, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._signed()
        while True:
            if sign := self._take("*", "/", ":"):
                left = self._operation("/" if sign == ":" else sign, left, self._signed())
            elif self._sees_bracket():  # 2(3+4)
                left = self._operation("*", left, self._postfix())
            else:
                return left

    def _signed(self) -> Expression:
        self._deeper()
        signed: Expression
        if self._take("+"):
            signed = self._signed()
        elif self._take("-"):
            inner = self._signed()
            if isinstance(inner, Leaf) and inner.kind in (INTEGER, DECIMAL):
                signed = Leaf(inner.kind, -inner.value, f"-{inner.text}".replace("--", ""))
            else:
                signed = self._operation("-", integer(0), inner)
        else:
            signed = self._postfix()
        self._depth -= 1
        return signed

    def _postfix(self) -> Expression:
        base = self._primary()
        while self._take("%"):
            if isinstance(base, Leaf) and base.kind in (INTEGER, DECIMAL):
                base = Leaf(PERCENT, base.value / 100, base.text)
            else:
                base = self._operation("/", base, integer(100))
        if self._take("**", "^"):
            exponent = self._signed()  # binds to the right
            if isinstance(exponent, Operation) and exponent == base and evaluate(exponent) == 2:
                exponent = integer(2)  # rows of Ape210K have r**r for r**2 where r is 2
            base = self._operation("**", base, exponent)
        return base

    def _primary(self) -> Expression:
        token = self._next()
        if number := token["number"]:
            part = self._peek()
            if part is not None and part["part"] and number.isdecimal() and int(part["above"]) < int(part["below"]):
                self._at += 1
                return _part(int(number), part)
            return Leaf(DECIMAL if "." in number else INTEGER, Fraction(number), number)
        if token["part"]:
            return _part(0, token)
        if token["sign"] != "(":
            raise Unusable(UNREADABLE)
        self._deeper()
        inner = self._sum()
        self._depth -= 1
        if not self._take(")"):
            raise Unusable(UNREADABLE)
        return inner

    def _operation(self, sign: str, left: Expression, right: Expression) -> Operation:
        self._operations += 1
        if self._operations > MOST_OPERATIONS:
            raise Unusable(TOO_LARGE)
        return Operation(sign, left, right)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > 2 * DEEPEST:  # brackets count twice: the sum in them, and its first sign
            raise Unusable(TOO_LARGE)

    def _peek(self) -> re.Match[str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> re.Match[str]:
        token = self._peek()
        if token is None:
            raise Unusable(UNREADABLE)
        self._at += 1
        return token

    def _sees_bracket(self) -> bool:
        token = self._peek()
        return token is not None and bool(token["part"] or token["sign"] == "(")

    def _take(self, *signs: str) -> str:
        token = self._peek()
        if token is None or token["sign"] not in signs:
            return ""
        self._at += 1
        return token["sign"]


def _part(whole: int, token: re.Match[str]) -> Leaf:
    above, below = int(token["above"]), int(token["below"])
    if not below:
        raise Unusable("the equation divides by zero")
    kind = MIXED if whole else FRACTION
    return Leaf(kind, whole + Fraction(above, below), "", whole, above, below)
