"""What the generator is given: kinds of problems, and how a language words them.

Texts have slots: {a}, {b}, ... are the numbers, in the order in which a question names them; {x}, {y}, {z} are the
results of the steps, the last of which is the answer; {who} and {what} are a name and a noun, which occur in questions
alone, so that nothing but numbers has to be carried over into a solution.
"""

import dataclasses
import random
from collections.abc import Callable, Mapping

FRACTIONS = ((3, 4), (2, 5), (3, 5), (4, 5), (5, 6), (2, 7), (3, 7), (4, 7), (5, 7), (3, 8), (5, 8), (7, 9))


class Draw(random.Random):
    """Random numbers for problems."""

    def two(self) -> int:
        """A number of two digits that is no multiple of 10."""
        return self.randint(1, 9) * 10 + self.randint(1, 9)

    def three(self) -> int:
        """A number of three digits."""
        return self.randint(101, 999)

    def fraction(self) -> tuple[int, int]:
        """Numerator and denominator of a proper fraction in lowest terms."""
        return self.choice(FRACTIONS)


@dataclasses.dataclass(frozen=True)
class Kind:
    """The mathematics of a problem, in no language."""

    name: str
    topic: str
    numbers: Callable[[Draw], tuple[int, ...]]
    steps: Callable[..., tuple[int | float, ...]]  # numbers -> result of each step
    working: tuple[str, ...]  # the steps, written out
    program: str  # prints the answer


@dataclasses.dataclass(frozen=True)
class Wording:
    """A kind of problem in a language."""

    question: str
    plan: str  # one sentence that opens each solution


@dataclasses.dataclass(frozen=True)
class Language:
    """All that the generator needs to write in a language."""

    code: str  # "en" or "zh"
    names: tuple[str, ...]
    nouns: tuple[str, ...]
    space: str  # between sentences
    stop: str  # ends a sentence
    conclusion: str  # has the slot {answer}
    wordings: Mapping[str, Wording]  # by name of the kind
