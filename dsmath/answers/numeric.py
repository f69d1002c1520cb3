"""Values of nodes to 50 digits, with random numbers for symbols.

Two expressions are the same if they agree at several random points: by chance, different ones agree with probability
zero for all that is practical. Points are real, of both signs; where a root or a logarithm of a negative number
would be taken, the point doesn't count, unless no point counts: then values are complex.
"""

import functools
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from dsmath.answers import exact
from dsmath.answers.nodes import Apply, Based, Node, Number, Quantity, Symbol

DIGITS = 50
_POINTS = 8
_NEEDED = 3
_SAME = 30  # digits in which exact expressions agree
_MOST_MAGNITUDE = 10**7  # bits before the point of a power or an exponential
_LARGEST_FACTORIAL = 10**6
_CONSTANTS = frozenset(("pi", "e", "i", "E"))

Value = Any  # mpf or mpc


class UndefinedError(ValueError):
    """The expression has no (real, moderate) value here."""


@functools.cache
def _context():
    import mpmath

    context = mpmath.MPContext()
    context.dps = DIGITS
    return context


def holds(relation: str, a: Node, b: Node) -> bool:
    """Whether two scalar expressions stand in a relation.

    "same": equal values; "multiple", "positive multiple": proportional by a constant; "less": a < b, both constant.
    """
    if relation == "less":
        found = _values(a, b)
        return bool(found) and all(_context().im(x) == 0 for x in found[0]) and bool(found[0][0] < found[0][1])
    return _same(a, b) if relation == "same" else _proportional(a, b, positive=relation == "positive multiple")


def _same(a: Node, b: Node) -> bool:
    compared = _values(a, b)
    return bool(compared) and all(_close(x, y) or _rounded(a, b, x, y) for x, y in compared)


def _proportional(a: Node, b: Node, *, positive: bool) -> bool:
    compared = [(x, y) for x, y in _values(a, b) if x != 0 or y != 0]
    if not compared or any(x == 0 or y == 0 for x, y in compared):
        return False
    ratios = [x / y for x, y in compared]
    if not all(_close(ratio, ratios[0]) for ratio in ratios):
        return False
    return not positive or _context().re(ratios[0]) > 0


def symbols(node: Node) -> frozenset[str]:
    """The free symbols of an expression, calls of unknown functions included."""
    if isinstance(node, Symbol):
        return frozenset() if node.name in _CONSTANTS or node.name == "infty" else frozenset((node.name,))
    if isinstance(node, Apply):
        own = (node.function,) if node.function.startswith("call ") else ()
        return frozenset(own).union(*(symbols(argument) for argument in node.arguments))
    return symbols(node.value) if isinstance(node, Quantity) else frozenset()


def _values(a: Node, b: Node) -> list[tuple[Value, Value]]:
    """The values of both at the points at which both are defined: real ones, if there are any, else complex."""
    points = _POINTS if symbols(a) | symbols(b) else 1
    for only_real in (True, False):
        found = []
        for point in range(points):
            try:
                found.append(tuple(_Evaluation(point, real=only_real).value(node) for node in (a, b)))
            except UndefinedError:
                continue
            if len(found) == _NEEDED:
                break
        if found:
            return found
    return []


def _close(x: Value, y: Value) -> bool:
    size = max(abs(x), abs(y))
    if x == 0 or y == 0:
        return bool(size < _context().mpf(10) ** (5 - DIGITS))
    return bool(abs(x - y) <= size * _context().mpf(10) ** -_SAME)


def _rounded(a: Node, b: Node, x: Value, y: Value) -> bool:
    """Whether x and y agree as far as decimals in a and b are written."""
    if not (exact.has_decimal(a) or exact.has_decimal(b)):
        return False
    context = _context()
    if abs(x - y) > abs(x):
        return False
    if context.im(x) != 0 or context.im(y) != 0:
        return bool(abs(x - y) <= float(exact.ROUNDED) * abs(y))
    return exact.agree(a, b, _fraction(context.re(x)), _fraction(context.re(y)))


def _fraction(x: Value) -> Fraction:
    from mpmath import libmp

    return Fraction(*map(int, libmp.to_rational(x._mpf_)))


class _Evaluation:
    """Evaluation at one point."""

    def __init__(self, point: int, *, real: bool):
        self._point = point
        self._real = real

    def value(self, node: Node) -> Value:
        """Raises UndefinedError where there is no value, or none of moderate size."""
        context = _context()
        if isinstance(node, (Number, Based)):
            return context.mpf(node.value.numerator) / node.value.denominator
        if isinstance(node, Symbol):
            return self._symbol(node.name)
        if not isinstance(node, Apply):
            raise UndefinedError("not a scalar")
        arguments = [self.value(argument) for argument in node.arguments]
        if node.function.startswith("call "):
            return self._call(node.function, arguments)
        if (rule := _RULES.get(node.function)) is None:
            raise UndefinedError(node.function)
        if self._real and node.function in _REAL_ONLY:
            _REAL_ONLY[node.function](*arguments)
        try:
            result = rule(context, *arguments)
        except (ZeroDivisionError, ValueError, OverflowError, TypeError) as e:
            raise UndefinedError(str(e)) from e
        if not context.isfinite(result):
            raise UndefinedError("not finite")
        return result

    def _symbol(self, name: str) -> Value:
        context = _context()
        if name in ("pi", "e", "i"):
            return {"pi": context.pi, "e": context.e, "i": context.j}[name] * 1
        if name == "infty":
            raise UndefinedError(name)
        generator = random.Random(f"{name} {self._point}")
        number = context.mpf(generator.randrange(1, 4 << 64)) / (1 << 64)
        return number if self._point < 2 or generator.random() < 0.5 else -number

    def _call(self, function: str, arguments: list[Value]) -> Value:
        """Some smooth function, another one for each name."""
        generator = random.Random(f"{function} {self._point}")
        inner = sum(argument * (generator.random() + 1) for argument in arguments)
        return _context().sin(inner + generator.random()) + 2


def _power(context, base: Value, exponent: Value) -> Value:
    if base == 0:
        if context.re(exponent) <= 0:
            raise UndefinedError("zero to a power that isn't positive")
        return context.mpf(0)
    if abs(exponent) * (abs(context.log(abs(base))) + 4) > _MOST_MAGNITUDE:
        raise UndefinedError("too large")
    return context.power(base, exponent)


def _root(context, radicand: Value, index: Value) -> Value:
    if context.im(radicand) == 0 and context.re(radicand) < 0 and context.isint(index) and int(index) % 2:
        return -_power(context, -radicand, 1 / index)
    return _power(context, radicand, 1 / index)


def _exponential(context, x: Value) -> Value:
    if abs(x) > _MOST_MAGNITUDE:
        raise UndefinedError("too large")
    return context.exp(x)


def _factorial(context, n: Value) -> Value:
    if abs(n) > _LARGEST_FACTORIAL:
        raise UndefinedError("too large")
    return context.gamma(n + 1)


def _angle(function: str):
    def apply(context, x: Value) -> Value:
        if abs(x) > _MOST_MAGNITUDE:
            raise UndefinedError("too large")
        return getattr(context, function)(x)

    return apply


def _require_not_negative(x: Value, *_: Value) -> None:
    if _context().im(x) != 0 or _context().re(x) < 0:
        raise UndefinedError("not real")


def _require_real_power(base: Value, exponent: Value) -> None:
    context = _context()
    if context.im(base) == 0 and context.re(base) < 0 and not context.isint(exponent):
        raise UndefinedError("not real")


def _require_real_root(radicand: Value, index: Value) -> None:
    if not (_context().isint(index) and int(index) % 2):
        _require_not_negative(radicand)


_REAL_ONLY: dict[str, Callable[..., None]] = {
    "sqrt": _require_not_negative,
    "ln": _require_not_negative,
    "log": _require_not_negative,
    "lg": _require_not_negative,
    "^": _require_real_power,
    "root": _require_real_root,
}
_RULES = {
    "+": lambda c, a, b: a + b,
    "neg": lambda c, a: -a,
    "*": lambda c, a, b: a * b,
    "/": lambda c, a, b: a / b,
    "^": _power,
    "sqrt": lambda c, a: c.sqrt(a),
    "root": _root,
    "!": _factorial,
    "percent": lambda c, a: a / 100,
    "degree": lambda c, a: a * c.pi / 180,
    "abs": lambda c, a: abs(a),
    "exp": _exponential,
    "ln": lambda c, a: c.log(a),
    "log": lambda c, a, b=None: c.log(a) if b is None else c.log(a) / c.log(b),
    "lg": lambda c, a: c.log(a) / c.log(10),
    "binom": lambda c, n, k: _factorial(c, n) / _factorial(c, k) / _factorial(c, n - k),
    "floor": lambda c, a: c.floor(a),
    "ceiling": lambda c, a: c.ceil(a),
    "max": lambda c, *a: max(a),
    "min": lambda c, *a: min(a),
    "arcsin": lambda c, a: c.asin(a),
    "arccos": lambda c, a: c.acos(a),
    "arctan": lambda c, a: c.atan(a),
    **{name: _angle(name) for name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh")},
}
