"""Intervals and tests for accuracies.

The unit is the problem: several samples of one problem are not independent. Where there is one sample per problem, all
intervals are Wilson's.
"""

import collections
import dataclasses
import math
from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
P = TypeVar("P", bound=Hashable)

_Z = 1.959963984540054  # 97.5% quantile of the standard normal: intervals of 95%


def wilson(correct: int, n: int) -> tuple[float, float]:
    """The 95% interval of a proportion, in [0, 1].

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927). Raises
    ValueError unless 0 <= correct <= n and n > 0.
    """
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"{correct} correct of {n}; expected 0 <= correct <= n and n > 0")
    return _wilson(correct / n, n)


def _wilson(proportion: float, n: float) -> tuple[float, float]:
    centre = proportion + _Z**2 / (2 * n)
    margin = _Z * math.sqrt(proportion * (1 - proportion) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    low = 0.0 if proportion == 0 else (centre - margin) / scale
    high = 1.0 if proportion == 1 else (centre + margin) / scale
    return low, high


def clustered(means: Sequence[float], sizes: Sequence[int]) -> tuple[float, float]:
    """The 95% interval of the proportion over all samples, the problem being the unit.

    `means[i]`, in [0, 1], is the mean of the `sizes[i]` samples of problem i. This is Wilson's interval for the
    effective number of samples: that of independent ones which would vary as much as these problems do (L. Kish, Survey
    Sampling (1965), the design effect). It is never taken for more than there are samples, and is the number of
    problems where all samples are alike, as nothing is known of their variance then. Raises ValueError for no samples.
    """
    n = sum(sizes)
    if n == 0:
        raise ValueError("no samples; expected one at least")
    proportion = math.fsum(mean * size for mean, size in zip(means, sizes, strict=True)) / n
    if not 0 < proportion < 1:
        return _wilson(proportion, len(sizes))
    variance = math.fsum((size * (mean - proportion)) ** 2 for mean, size in zip(means, sizes, strict=True)) / n**2
    effective = min(n, proportion * (1 - proportion) / variance) if variance else n
    return _wilson(proportion, effective)


def accuracy(problems: Sequence[Hashable], correct: Sequence[bool]) -> dict[str, Any]:
    """n (samples), correct, accuracy and its 95% interval in percent; if there are several samples of a problem, their
    number, too. `problems[i]` is whose sample i is.
    """
    groups = by_problem(problems, correct).values()
    sizes = [len(group) for group in groups]
    low, high = clustered([sum(group) / len(group) for group in groups], sizes)
    return {
        "n": len(correct),
        **({"problems": len(sizes)} if len(sizes) < len(correct) else {}),
        "correct": sum(correct),
        "accuracy": 100 * sum(correct) / len(correct),
        "interval": [100 * low, 100 * high],
    }


def by_problem(problems: Sequence[P], values: Sequence[T]) -> dict[P, list[T]]:
    """The values of each problem's samples, problems in the order of their first one."""
    groups = collections.defaultdict(list)
    for problem, value in zip(problems, values, strict=True):
        groups[problem].append(value)
    return dict(groups)


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
    from scipy import stats

    only_a = sum(1 for x, y in zip(a, b, strict=True) if x and not y)
    only_b = sum(1 for x, y in zip(a, b, strict=True) if y and not x)
    discordant = only_a + only_b
    return McNemar(only_a, only_b, float(stats.binomtest(only_a, discordant).pvalue) if discordant else 1.0)


@dataclasses.dataclass(frozen=True)
class Difference:
    """Of a and b in mean over problems, and its 95% interval; proportions, in [-1, 1]."""

    mean: float
    low: float
    high: float


def paired_bootstrap(a: Sequence[float], b: Sequence[float], *, seed: int = 0, resamples: int = 10_000) -> Difference:
    """The mean of a - b, with the percentile interval over resampled problems.

    `a[i]` and `b[i]` are the means of two systems' samples of problem i. The order of the problems doesn't matter.
    Raises ValueError if a and b differ in length or are empty. B. Efron and R. Tibshirani, An Introduction to the
    Bootstrap (1993), chapter 13.
    """
    import numpy as np

    if not a or len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} problems; expected as many of both, one at least")
    values, counts = np.unique(np.subtract(a, b), return_counts=True)
    draws_RV = np.random.default_rng(seed).multinomial(len(a), counts / len(a), size=resamples)  # how often each value
    low, high = np.quantile(draws_RV @ values / len(a), [0.025, 0.975])
    return Difference(float(counts @ values / len(a)), float(low), float(high))
