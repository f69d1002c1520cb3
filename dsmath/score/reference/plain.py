r"""What SymPy would say about plain expressions, without SymPy: most symbolic comparisons are between two of these.

    sum    = term (("+" | "-") term)*
    term   = unary (("*" | "/") unary)*
    unary  = ("+" | "-") unary | power+
    power  = factor ["^" (digit | "{" sum "}")]
    factor = number | letter | "\pi" | "\text" | "\begin" | "\end" | bracketed sum
           | "\sqrt{" sum "}" | "\frac{" sum "}{" sum "}"

It is a part of the grammar of SymPy's LaTeX parser, with its readings: `\pi` and `\text` are symbols, `1/2x` is 1/(2x),
`2\frac{1}{2}` is 1. What else SymPy reads, it has to read itself.
"""

import math
import random
import re

_TOKEN = re.compile(
    r"""\\(?:pi|text|begin|end)(?![a-zA-Z(])
    |\\sqrt\{|\\frac\{
    |[-+*/^{}()]
    |(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?(?![\d.,])  # SymPy has no 05
    |(?:[a-ce-zA-Z]|d(?![a-zA-Z\\]))(?!\()  # dx is a differential, f(x) a function
    """,
    re.ASCII | re.VERBOSE,
)
_UNREADABLE = re.compile(r"(?:(?<![a-zA-Z])[^\x00-\x7f]|\\\\).*", re.DOTALL)
_CLOSING = {"{": "}", "(": ")", "\\sqrt{": "}"}
_INFINITE = {"\\infty": math.inf, "-\\infty": -math.inf}
_LARGEST = 1e9  # so that the absolute tolerance decides
_HIGHEST_POWER = 20
_LONGEST = 200  # characters
_DEEPEST = 20


class _NotPlainError(ValueError):
    """Not of the grammar above, or without a moderate real value."""


def close(a: str, b: str, tolerance: float) -> bool | None:
    """Whether a - b simplifies to zero or is a number below `tolerance`; None where SymPy has to say it.

    Two expressions with symbols that differ at a random point are different. Behind an expression, a double backslash
    or a character that isn't ASCII (behind a letter, it goes on with a name) keeps SymPy from reading any of it.
    """
    if a in _INFINITE and b in _INFINITE:
        return a == b
    try:
        (x, a_symbols), (y, b_symbols) = (_value(_UNREADABLE.sub("", text)) for text in (a, b))
    except (_NotPlainError, ZeroDivisionError, OverflowError):
        return None
    if _UNREADABLE.search(a) or _UNREADABLE.search(b):
        return False
    difference = abs(x - y)
    if a_symbols or b_symbols:
        return False if difference > max(1e-6 * abs(x), 2 * tolerance) else None  # symbols may cancel
    return None if abs(difference - tolerance) < tolerance / 1000 else difference < tolerance


def _value(text: str) -> tuple[float, bool]:
    """The value, at some point, and whether there are symbols."""
    if text in _INFINITE:
        return _INFINITE[text], False
    text = text.replace(" - (", "-(")
    tokens = _TOKEN.findall(text)
    if not tokens or len(text) > _LONGEST or sum(map(len, tokens)) != len(text):
        raise _NotPlainError(text)
    reader = _Reader(tokens)
    value = reader.sum()
    if reader.tokens or not abs(value) < _LARGEST:
        raise _NotPlainError(text)
    return value, any(token[-1].isalpha() for token in tokens)


class _Reader:
    """Takes tokens away from the end of a reversed list."""

    def __init__(self, tokens: list[str]):
        self.tokens = tokens[::-1]
        self._depth = 0

    def sum(self) -> float:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _NotPlainError("too deep")
        value = self._term()
        while self._at("+", "-"):
            value = value + self._term() if self.tokens.pop() == "+" else value - self._term()
        self._depth -= 1
        return value

    def _term(self) -> float:
        value = self._unary()
        while self._at("*", "/"):
            value = value * self._unary() if self.tokens.pop() == "*" else value / self._unary()
        return value

    def _unary(self) -> float:
        sign = 1
        while self._at("+", "-"):
            sign = -sign if self.tokens.pop() == "-" else sign
        value = sign * self._power()
        previous = ""
        while self.tokens and not self._at("+", "-", "*", "/", "^", "}", ")"):
            if previous == "x":
                raise _NotPlainError("between numbers, x is a sign of multiplication")
            previous = self.tokens[-1]
            value *= self._power()
        return value

    def _power(self) -> float:
        base = self._factor()
        if not self._at("^"):
            return base
        self.tokens.pop()
        token = self.tokens.pop() if self.tokens else ""
        exponent = self._group("{") if token == "{" else float(token) if token.isdigit() else math.inf
        if abs(exponent) > _HIGHEST_POWER or exponent != int(exponent) or self._at("^"):
            raise _NotPlainError("a power")
        return base**exponent

    def _factor(self) -> float:
        token = self.tokens.pop() if self.tokens else "end"
        if token[0].isdigit():
            return float(token)
        if token in ("{", "("):
            return self._group(token)
        if token == "\\sqrt{":
            radicand = self._group(token)
            if radicand < 0:
                raise _NotPlainError("an imaginary root")
            return math.sqrt(radicand)
        if token == "\\frac{":
            above = self._group("{")
            if not self._at("{"):
                raise _NotPlainError("no denominator")
            return above / self._group(self.tokens.pop())
        if token[-1].isalpha() and token != "end":
            return random.Random(token).uniform(0.5, 1.5)
        raise _NotPlainError(token)

    def _group(self, opening: str) -> float:
        value = self.sum()
        if not self._at(_CLOSING[opening]):
            raise _NotPlainError("not closed")
        self.tokens.pop()
        return value

    def _at(self, *tokens: str) -> bool:
        return bool(self.tokens) and self.tokens[-1] in tokens
