"""Intervals and tests for accuracies."""

import dataclasses
import math
from collections.abc import Sequence

_Z = 1.959963984540054  # 97.5% quantile of the standard normal: intervals of 95%


def wilson(correct: int, n: int) -> tuple[float, float]:
    """The 95% interval of a proportion, in [0, 1].

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927). Raises
    ValueError unless 0 <= correct <= n and n > 0.
    """
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"{correct} correct of {n}; expected 0 <= correct <= n and n > 0")
    proportion = correct / n
    centre = proportion + _Z**2 / (2 * n)
    margin = _Z * math.sqrt(proportion * (1 - proportion) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    low = 0.0 if correct == 0 else (centre - margin) / scale
    high = 1.0 if correct == n else (centre + margin) / scale
    return low, high


@dataclasses.dataclass(frozen=True)
class McNemar:
    """A paired comparison of a with b."""

    only_a: int  # pairs of which only a is right
    only_b: int
    p: float  # two-sided, exact


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> McNemar:
    """The exact test that two systems are right equally often, from their results on the same problems.

    Given the discordant pairs, their number on one side is binomial with probability 1/2 (Q. McNemar, Psychometrika 12
    (1947)). Raises ValueError if a and b differ in length.
    """
    only_a = sum(1 for x, y in zip(a, b, strict=True) if x and not y)
    only_b = sum(1 for x, y in zip(a, b, strict=True) if y and not x)
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1))
    return McNemar(only_a, only_b, min(1.0, 2 * tail / 2**n))
