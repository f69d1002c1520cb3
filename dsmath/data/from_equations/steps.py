"""An expression as a person computes it: one operation at a time, each as Python, as LaTeX and in words."""

import dataclasses
import math
from fractions import Fraction

from dsmath.data.from_equations import expressions, numerals
from dsmath.data.from_equations.expressions import (
    DECIMAL,
    FRACTION,
    INTEGER,
    MIXED,
    PERCENT,
    Expression,
    Leaf,
    Operation,
)
from dsmath.data.from_equations.givens import Givens

SIGNS = {"+": "+", "-": "-", "*": r"\times", "/": r"\div"}
SHARE, AMOUNT = "share", "amount"  # of a whole, as 30% and three quarters are; or anything else
MOST_PLACES = 6  # of a decimal that a step results in; what needs more is a fraction

_NAMES = {"+": "total", "-": "difference", "*": "product", "/": "quotient", "**": "power"}
_WORDS = {"+": "{}加上{}", "-": "{}减去{}", "*": "{}乘{}", "/": "{}除以{}", "**": "{}的{}次方"}
_GOES_ON = {"+": "再加上{}", "-": "再减去{}", "*": "再乘{}", "/": "再除以{}", "**": "求它的{}次方"}
_BEFORE = "上一步的结果"
_CIRCLE = "3.14"
_CONSTANTS = {"1", "2", "10", "100", "1000", "10000"}  # halves and conversions: a measure word would often be another's


@dataclasses.dataclass(frozen=True)
class Operand:
    """A number of the equation, or the result of an earlier step."""

    value: Fraction
    code: str
    exact: bool  # whether the code gives a Fraction, which `/` divides exactly
    atom: bool  # whether the code needs no brackets
    style: str  # integer, decimal, percent, fraction or mixed: how it is shown
    shown: str  # in LaTeX
    words: str  # in a comment
    said: str  # in the chain of thought
    role: str  # share or amount
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class Step:
    """An operation on two operands."""

    name: str  # of its variable
    code: str
    comment: str  # holds no result
    said: str  # before the equation; "" where there is nothing to say
    shown: str  # the equation


def of(node: Expression, givens: Givens, *, fractions: bool) -> tuple[Operand, list[Step]]:
    """The result of an expression, and the steps to it. `fractions`: quotients aren't shown as decimals."""
    collected = _Steps(givens, fractions)
    return collected.operand(node), collected.steps


class _Steps:
    def __init__(self, givens: Givens, fractions: bool):
        self.steps: list[Step] = []
        self._givens = givens
        self._fractions = fractions
        self._done: dict[Expression, Operand] = {}
        self._last: Operand | None = None
        self._names: dict[str, int] = {}

    def operand(self, node: Expression) -> Operand:
        """The operand that an expression is, once its steps are taken."""
        if isinstance(node, Leaf):
            return _leaf(node, self._givens)
        if node not in self._done:
            self._done[node] = self._take(node)
        return self._done[node]

    def _take(self, node: Operation) -> Operand:
        sign, left, right = node.sign, self.operand(node.left), self.operand(node.right)
        value = expressions.value(sign, left.value, right.value)
        style = self._style(sign, left, right, value)
        shown = numerals.shown(value, style)
        role, kind, label = _meaning(sign, left, right)
        name = self._name(kind)
        comment, said = (self._words(sign, left, right, chain) for chain in (False, True))
        telling = label or ((left.unit or right.unit) and _units_fit(sign, left.unit, right.unit))
        between = _between(sign, left, right)
        equation = [_equation(sign, left, right), *between, *([] if between and between[-1] == shown else [shown])]
        self.steps.append(
            Step(
                name=name,
                code=_code(sign, left, right),
                comment=f"{label}：{comment}" if label else comment,
                said=f"{label or said}：" if telling else "",
                shown="=".join(equation),
            )
        )
        exact = left.exact or right.exact or sign == "/" if sign != "**" else left.exact or right.value < 0
        self._last = Operand(value, name, exact, True, style, shown, name, f"${shown}$", role)
        return self._last

    def _style(self, sign: str, left: Operand, right: Operand, value: Fraction) -> str:
        """How a result is shown."""
        styles = {left.style, right.style}
        if value.denominator == 1:
            return INTEGER
        if styles & {FRACTION, MIXED} or (sign == "/" and self._fractions and styles == {INTEGER}):
            return FRACTION
        percents = sign in "+-" and all(o.style == PERCENT or o.value == 1 for o in (left, right))
        if percents and numerals.terminates(value * 100, MOST_PLACES):
            return PERCENT
        return DECIMAL if numerals.terminates(value, MOST_PLACES) else FRACTION

    def _words(self, sign: str, left: Operand, right: Operand, chain: bool) -> str:
        """An operation in Chinese; the step before is spoken of as such."""
        first, second = (o.said if chain else o.words for o in (left, right))
        if not _units_fit(sign, left.unit, right.unit):
            first, second = first.removesuffix(left.unit), second.removesuffix(right.unit)
        if left is self._last:
            return _WORDS[sign].format(_BEFORE, "它本身") if right is left else _GOES_ON[sign].format(second)
        return _WORDS[sign].format(first, _BEFORE if right is self._last else second)

    def _name(self, kind: str) -> str:
        self._names[kind] = number = self._names.get(kind, 0) + 1
        return kind if number == 1 else f"{kind}_{number}"


def leaf_latex(leaf: Leaf) -> str:
    """A number as it is written."""
    match leaf.kind:
        case "percent":
            return f"{leaf.text}\\%"
        case "fraction":
            return numerals.fraction(leaf.above, leaf.below)
        case "mixed":
            return f"{leaf.whole}{numerals.fraction(leaf.above, leaf.below)}"
        case _:
            return leaf.text


def _leaf(leaf: Leaf, givens: Givens) -> Operand:
    code, written, role, atom, exact = leaf.text, leaf.text, AMOUNT, True, True
    part = f"({leaf.above}/{leaf.below})"
    match leaf.kind:
        case "integer":
            code, exact, atom = str(leaf.value), False, leaf.value >= 0
        case "decimal":
            code = f'Fraction("{leaf.text}")'
            if leaf.text == _CIRCLE and givens.circles and _CIRCLE not in givens:
                written = f"圆周率{_CIRCLE}"
        case "percent":
            atom, role, written = "." not in leaf.text, SHARE, f"{leaf.text}%"
            code = f"Fraction({int(leaf.text)}, 100)" if atom else f'Fraction("{leaf.text}") / 100'
        case "fraction":
            code, written = f"Fraction({leaf.above}, {leaf.below})", f"{leaf.above}/{leaf.below}"
            role = SHARE if givens.is_bare(part) and leaf.value < 1 else AMOUNT
        case "mixed":
            code, atom = f"{leaf.whole} + Fraction({leaf.above}, {leaf.below})", False
            part, written = f"{leaf.whole}{part}", f"{leaf.whole}又{leaf.above}/{leaf.below}"
    unit = givens.unit(part if leaf.kind in (FRACTION, MIXED) else leaf.text) if leaf.text not in _CONSTANTS else ""
    words = written + unit
    return Operand(leaf.value, code, exact, atom, leaf.kind, leaf_latex(leaf), words, words, role, unit)


def _meaning(sign: str, left: Operand, right: Operand) -> tuple[str, str, str]:
    """What a result is: a share or an amount, what it is called, and what it is in Chinese, if that can be told."""
    shares = [operand.role == SHARE for operand in (left, right)]
    if sign in "+-" and any(shares) and all(s or o.code == "1" for s, o in zip(shares, (left, right), strict=True)):
        return SHARE, "share", "对应的分率"
    if sign == "*" and all(shares):
        return SHARE, "share", "对应的分率"
    if sign == "*" and any(shares):
        return AMOUNT, "part", "分率对应的量"
    if sign == "/" and shares == [False, True] and left.value != 1:
        return AMOUNT, "whole", "单位“1”的量"
    return AMOUNT, _NAMES[sign], ""


def _units_fit(sign: str, left: str, right: str) -> bool:
    """Whether to speak of two numbers with their measure words: 3米加上2人 and 3人乘2人 would be odd."""
    if sign in "+-":
        return left == right or not (left and right)
    return sign != "**" and (left != right or left.endswith("米") or sign == "/")


def _code(sign: str, left: Operand, right: Operand) -> str:
    if sign == "/" and not (left.exact or right.exact):
        return f"Fraction({left.code}, {right.code})"
    first, second = (o.code if o.atom else f"({o.code})" for o in (left, right))
    if sign == "**" and right.value < 0 and not left.exact:
        first = f"Fraction({left.code})"
    if sign in "+-" and not left.atom:
        first = left.code
    return f"{first} {sign} {second}"


def _equation(sign: str, left: Operand, right: Operand) -> str:
    """The left side of a step."""
    second = f"({right.shown})" if right.value < 0 and sign != "**" else right.shown
    if sign != "**":
        return f"{left.shown}{SIGNS[sign]}{second}"
    base = f"({left.shown})" if left.value < 0 or left.style in (FRACTION, MIXED) else left.shown
    return f"{base}^{{{second}}}"


def _between(sign: str, left: Operand, right: Operand) -> list[str]:
    """What stands between a step's left side and its result: the common denominator, the reciprocal."""
    styles = {left.style, right.style}
    if not styles & {FRACTION, MIXED} or right.value < 0 or left.value < 0:
        return []
    if sign in "+-":
        below = math.lcm(left.value.denominator, right.value.denominator)
        first, second = (numerals.fraction(int(o.value * below), below) for o in (left, right))
        return [] if (first, second) == (left.shown, right.shown) else [f"{first}{SIGNS[sign]}{second}"]
    first, second = (numerals.shown(o.value, FRACTION) for o in (left, right))
    if sign == "/" and right.style in (FRACTION, MIXED):
        return [f"{first}{SIGNS['*']}{numerals.shown(1 / right.value, FRACTION)}"]
    if sign in "*/" and (MIXED in styles or styles & {DECIMAL, PERCENT}):
        return [f"{first}{SIGNS[sign]}{second}"]
    return []
