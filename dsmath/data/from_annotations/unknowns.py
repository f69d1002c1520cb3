"""Unknowns that a solution solves for: letters, and the equation that gives one its value."""

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence

from dsmath.data.from_annotations import arithmetic
from dsmath.data.from_annotations.arithmetic import Expression, Unreadable
from dsmath.data.from_annotations.sentences import Shown

_ROUNDED = 0.01  # relative; how far a stated value may be off
_ALONE = re.compile(r"(?<!\d )(?<![\w.'’/])([A-Za-z])\s?=(?!=)|=\s?[$]?([A-Za-z])(?![\w'’]|\s?\()")


@dataclasses.dataclass(frozen=True)
class Unknown:
    """A letter with its value, the equation that gives it, and where the solution has both."""

    letter: str
    value: float
    left: Expression
    right: Expression
    sentence: int  # of the equation
    shown: int  # which calculation of the sentence it is
    stated: int  # the sentence that states the value; what lies between is the way there

    @property
    def alone(self) -> Expression | None:
        """What the letter equals, if it stands alone on a side."""
        if self.left == (self.letter,):
            return self.right
        return self.left if self.right == (self.letter,) else None


def letters(solution: str) -> frozenset[str]:
    """The letters that stand alone on a side of an equals sign, as in x = 5."""
    return frozenset(letter for match in _ALONE.finditer(solution) for letter in match.groups() if letter)


def unknown(sentences: Sequence[Sequence[Shown]], gold: float | None) -> Unknown | None:
    """The first unknown with an equation that gives it the value which the solution states, or else the answer."""
    stated = list(_statements(sentences))
    for i, sentence in enumerate(sentences):
        for k, shown in enumerate(sentence):
            for left, right in zip(shown.sides, shown.sides[1:], strict=False):
                found = arithmetic.letters(left) | arithmetic.letters(right)
                alone = arithmetic.is_number(left) or arithmetic.is_number(right)
                if len(found) != 1 or (alone and len(left) + len(right) == 2):
                    continue
                (letter,) = found
                try:
                    value = arithmetic.solution(left, right, letter)
                except Unreadable:
                    continue
                where = [j for j, l, v in stated if l == letter and j >= i and math.isclose(v, value, rel_tol=_ROUNDED)]
                if where or (gold is not None and math.isclose(value, gold)):
                    return Unknown(letter, value, left, right, i, k, where[0] if where else i)
    return None


def _statements(sentences: Sequence[Sequence[Shown]]) -> Iterator[tuple[int, str, float]]:
    """Sentence, letter and value wherever a letter is said to be a number."""
    for i, sentence in enumerate(sentences):
        for shown in sentence:
            for pair in zip(shown.sides, shown.sides[1:], strict=False):
                for side, other in (pair, pair[::-1]):
                    for letter in arithmetic.letters(side):
                        if len(side) == 1 and arithmetic.is_number(other):
                            yield i, letter, arithmetic.value(arithmetic.without_percents(other))
            if len(shown.sides) > 2 and len(shown.sides[0]) == 1 and arithmetic.is_number(shown.sides[-1]):
                for letter in arithmetic.letters(shown.sides[0]):  # x = 90 / 3 = 30
                    yield i, letter, arithmetic.value(arithmetic.without_percents(shown.sides[-1]))
