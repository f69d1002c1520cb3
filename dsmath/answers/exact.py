"""Exact values: fractions, where a node is rational and of moderate size."""

import math
from fractions import Fraction

from dsmath.answers.nodes import Apply, Based, Node, Number, Quantity

MOST_BITS = 30_000  # of a numerator or a denominator
_LARGEST_FACTORIAL = 3_000
ROUNDED = Fraction(1, 10**4)  # relative tolerance where a number is written as a decimal
_ENOUGH_DIGITS = 4  # of a rounded decimal
_NOISY_DIGITS = 12
_NOISE = Fraction(1, 10**9)


class TooLargeError(ValueError):
    """The value is beyond what is computed."""


def value(node: Node) -> Fraction | None:
    """The value of a node, or None if it isn't rational, has symbols, or isn't a number at all."""
    if isinstance(node, (Number, Based)):
        return node.value
    if isinstance(node, Apply) and (rule := _RULES.get(node.function)):
        arguments = [value(argument) for argument in node.arguments]
        if None in arguments:
            return None
        result = rule(*arguments)
        if result is not None and result.numerator.bit_length() + result.denominator.bit_length() > 2 * MOST_BITS:
            raise TooLargeError
        return result
    return None


def has_decimal(node: Node) -> bool:
    """Whether a number in it is written with a decimal point, and so may be rounded."""
    if isinstance(node, Number):
        return node.places is not None
    if isinstance(node, Quantity):
        return has_decimal(node.value)
    return isinstance(node, Apply) and any(has_decimal(argument) for argument in node.arguments)


def agree(a: Node, b: Node, x: Fraction, y: Fraction) -> bool:
    """Whether x and y, the values of a and b, agree as far as decimals in a and b are written.

    A decimal is right to 1e-4 of its value, or as the correct rounding to four or more significant digits; with twelve
    or more digits it may carry the noise of floating point. But integers are exact: 4.9999 isn't 5.
    """
    if x == y:
        return True
    if not (has_decimal(a) or has_decimal(b)):
        return False
    difference, size = abs(x - y), max(abs(x), abs(y))
    decimals = [(node.digits, node.places) for node in (a, b) if isinstance(node, Number)]
    noisy = any(digits is not None and digits >= _NOISY_DIGITS for digits, _ in decimals)
    if noisy and difference <= _NOISE * (size if x and y else 1):
        return True
    if x.denominator == 1 or y.denominator == 1:
        return False
    if difference <= ROUNDED * size:
        return True
    return any(
        2 * difference <= Fraction(1, 10**places)
        for digits, places in decimals
        if digits is not None and places is not None and digits >= _ENOUGH_DIGITS
    )


def _divide(a: Fraction, b: Fraction) -> Fraction | None:
    return a / b if b else None


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        root = _root(base, Fraction(exponent.denominator))
        return None if root is None else _power(root, Fraction(exponent.numerator))
    if base == 0:
        return Fraction(0) if exponent > 0 else None
    if abs(base) == 1:
        return base if exponent % 2 else Fraction(1)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) * (bits - 1 or 1) > MOST_BITS:
        raise TooLargeError
    return base ** int(exponent)


def _root(radicand: Fraction, index: Fraction = Fraction(2)) -> Fraction | None:
    """A root that is rational."""
    if index.denominator != 1 or not 2 <= index <= 64 or (radicand < 0 and index % 2 == 0):
        return None
    above, below = (_integer_root(abs(part), int(index)) for part in (radicand.numerator, radicand.denominator))
    if above is None or below is None:
        return None
    return -Fraction(above, below) if radicand < 0 else Fraction(above, below)


def _integer_root(n: int, index: int) -> int | None:
    if index == 2:
        root = math.isqrt(n)
        return root if root * root == n else None
    if n.bit_length() > 900:
        return None
    root = round(n ** (1 / index))
    return next((r for r in (root - 1, root, root + 1) if r >= 0 and r**index == n), None)


def _factorial(n: Fraction) -> Fraction | None:
    if n.denominator != 1 or n < 0:
        return None
    if n > _LARGEST_FACTORIAL:
        raise TooLargeError
    return Fraction(math.factorial(int(n)))


def _binomial(n: Fraction, k: Fraction) -> Fraction | None:
    if n.denominator != 1 or k.denominator != 1 or not 0 <= k <= n:
        return None
    if n > _LARGEST_FACTORIAL:
        raise TooLargeError
    return Fraction(math.comb(int(n), int(k)))


def _of_integers(function):
    def apply(*arguments: Fraction) -> Fraction | None:
        integral = all(argument.denominator == 1 for argument in arguments)
        return Fraction(function(*map(int, arguments))) if integral else None

    return apply


_RULES = {
    "+": lambda a, b: a + b,
    "neg": lambda a: -a,
    "*": lambda a, b: a * b,
    "/": _divide,
    "^": _power,
    "!": _factorial,
    "percent": lambda a: a / 100,
    "sqrt": _root,
    "root": _root,
    "binom": _binomial,
    "abs": abs,
    "floor": lambda a: Fraction(math.floor(a)),
    "ceiling": lambda a: Fraction(math.ceil(a)),
    "max": max,
    "min": min,
    "gcd": _of_integers(math.gcd),
    "lcm": _of_integers(math.lcm),
}
