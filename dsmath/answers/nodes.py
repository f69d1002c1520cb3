"""What an answer is made of."""

import dataclasses
from fractions import Fraction


class ParseError(ValueError):
    """The text isn't mathematics that the parser knows; it can only be compared as text."""


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """A literal. `places` and `digits` are None unless it is written as a decimal."""

    value: Fraction
    places: int | None = None  # digits after the point
    digits: int | None = None  # significant digits


@dataclasses.dataclass(frozen=True, slots=True)
class Symbol:
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Apply:
    """An operator or a function and its arguments; `pm` and `mp` stand for both signs."""

    function: str
    arguments: tuple["Node", ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Based:
    """Digits in another base than ten, as in `1011_2`."""

    digits: str
    base: int
    value: Fraction


@dataclasses.dataclass(frozen=True, slots=True)
class Quantity:
    """A value with a unit: of dsmath/answers/vocabulary.py, "%", "degree", or any noun."""

    value: "Node"
    unit: str


@dataclasses.dataclass(frozen=True, slots=True)
class Sequence:
    """Elements between brackets: tuples, intervals, sets `{}`; without brackets: several answers."""

    left: str
    items: tuple["Node", ...]
    right: str


@dataclasses.dataclass(frozen=True, slots=True)
class Matrix:
    rows: tuple[tuple["Node", ...], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Relation:
    """Sides and the operators between them: `=`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `~` (about)."""

    operators: tuple[str, ...]
    sides: tuple["Node", ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Ratio:
    terms: tuple["Node", ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    text: str


Node = Number | Symbol | Apply | Based | Quantity | Sequence | Matrix | Relation | Ratio | Text
