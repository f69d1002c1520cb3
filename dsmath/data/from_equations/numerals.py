"""Exact numbers as they are written: in LaTeX by style, and an answer by the form that Ape210K's rows give it."""

import dataclasses
import re
from fractions import Fraction

from dsmath.data.from_equations import expressions
from dsmath.data.from_equations.expressions import DECIMAL, FRACTION, INTEGER, MIXED, PERCENT, Operation
from dsmath.data.source import Unusable

LONGEST = 100  # characters of an answer
RATIO = "ratio"
_RATIO = re.compile(r"\s*\d{1,20}\s*[:：∶]\s*\d{1,20}\s*", re.ASCII)
_WANTED = {
    INTEGER: "化简",
    DECIMAL: "化成小数",
    PERCENT: "化成百分数",
    FRACTION: "化成最简分数",
    MIXED: "化成带分数",
    RATIO: "化成最简整数比",
}


@dataclasses.dataclass(frozen=True)
class Form:
    """How an answer is written."""

    kind: str  # integer, decimal, percent, fraction, mixed or ratio
    places: int | None = None  # of a decimal that ends in zeros

    @property
    def wanted(self) -> str:
        """What is done to a number to give it the form, in Chinese."""
        return _WANTED[self.kind]

    def holds(self, value: Fraction) -> bool:
        """Whether Python's shortest float is the value, where one is printed."""
        if self.kind not in (DECIMAL, PERCENT):
            return True
        number = value * 100 if self.kind == PERCENT else value
        written = repr(float(number))
        return "e" not in written and "inf" not in written and Fraction(written) == number

    def latex(self, value: Fraction) -> str:
        """The answer as it is boxed."""
        if self.kind == RATIO:
            return f"{value.numerator}:{value.denominator}"
        if self.places is not None:
            return _fixed(value, self.places)
        return shown(value, self.kind)

    def print(self, name: str, value: Fraction) -> str:
        """The line of Python that prints a variable of that value in the form."""
        match self.kind:
            case "decimal":
                return (
                    f"print(float({name}))" if self.places is None else f'print(f"{{float({name}):.{self.places}f}}")'
                )
            case "percent":
                hundredfold = f"{name} * 100"
                return f'print(f"{{{hundredfold if (value * 100).denominator == 1 else f"float({hundredfold})"}}}%")'
            case "mixed":
                return f"print({name} // 1, {name} % 1)"
            case "ratio":
                return f'print(f"{{{name}.numerator}}:{{{name}.denominator}}")'
            case _:
                return f"print({name})"


def form(ans: str) -> tuple[Form, Fraction]:
    """The form and the exact value of a row's answer. Raises Unusable for one that is no number."""
    if len(ans) > LONGEST:
        raise Unusable("the answer is no number")
    try:
        read = expressions.read(ans)
        value = expressions.evaluate(read)
    except Unusable as e:
        raise Unusable("the answer is no number") from e
    if _RATIO.fullmatch(ans):
        return Form(RATIO), value
    if isinstance(read, Operation):
        operands = (read.left, read.right)
        if operands != (expressions.integer(value.numerator), expressions.integer(value.denominator)):
            raise Unusable("the answer is a formula")
        return Form(FRACTION), value
    if read.kind in (FRACTION, MIXED) and (value - read.whole).denominator != read.below:
        raise Unusable("the answer is a fraction that is not in lowest terms")
    zeros = read.kind == DECIMAL and read.text.endswith("0")
    return Form(read.kind, len(read.text.partition(".")[2]) if zeros else None), value


def terminates(value: Fraction, places: int) -> bool:
    """Whether a value is a decimal of so many places at most."""
    return (value * 10**places).denominator == 1


def shown(value: Fraction, style: str) -> str:
    """A value in LaTeX. Where a decimal or a percentage would not end, it is a fraction."""
    if value.denominator == 1 and style != PERCENT:
        return str(value)
    if style == PERCENT and _places(value * 100) is not None:
        return f"{_decimal(value * 100)}\\%"
    if style == DECIMAL and _places(value) is not None:
        return _decimal(value)
    whole, part = divmod(abs(value), 1)
    sign = "-" if value < 0 else ""
    if style == MIXED and whole:
        return f"{sign}{whole}{fraction(part.numerator, part.denominator)}"
    return sign + fraction(abs(value.numerator), value.denominator)


def fraction(above: int, below: int) -> str:
    """A fraction in LaTeX."""
    return f"\\frac{{{above}}}{{{below}}}"


def _decimal(value: Fraction) -> str:
    places = _places(value)
    return _fixed(value, places) if places else str(value.numerator)


def _fixed(value: Fraction, places: int) -> str:
    digits = str(abs(value * 10**places).numerator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _places(value: Fraction) -> int | None:
    """How many places the decimal of a value has; None where it never ends."""
    below, counts = value.denominator, []
    for prime in (2, 5):
        count = 0
        while below % prime == 0:
            below //= prime
            count += 1
        counts.append(count)
    return max(counts) if below == 1 else None
