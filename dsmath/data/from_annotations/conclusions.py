"""How an answer comes of the last result where it isn't the result itself: another unit, percent, a whole number."""

import dataclasses
import math
import re
from collections.abc import Iterator

_CLOSE = 1e-6
# A quantity in the first unit is `factor` times as many of the second; both must be spoken of.
_CONVERSIONS = (
    (r"\$|dollars?", "cents", r"cents?|¢", 100),
    ("hours?|hrs?", "minutes", "minutes?", 60),
    ("minutes?", "seconds", "seconds?", 60),
    ("days?", "hours", "hours?", 24),
    ("weeks?", "days", "days?", 7),
    ("years?", "months", "months?", 12),
    ("years?", "weeks", "weeks?", 52),
    ("feet|foot", "inches", "inch(?:es)?", 12),
    ("yards?", "feet", "feet|foot", 3),
    ("pounds?|lbs?", "ounces", "ounces?|oz", 16),
    ("pints?", "cups", "cups?", 2),
    ("quarts?", "cups", "cups?", 4),
    ("gallons?", "quarts", "quarts?", 4),
    ("km|kilometers?", "meters", "m|meters?", 1000),
    ("m|meters?", "centimeters", "cm|centimeters?", 100),
    ("kg|kilograms?|kilos?", "grams", "g|grams?", 1000),
    ("l|liters?", "milliliters", "ml|milliliters?", 1000),
    ("dozens?", "pieces", "pieces?", 12),
)


@dataclasses.dataclass(frozen=True)
class Conclusion:
    """What is printed, as Python with {} for the variable, and why in words."""

    python: str
    why: str


def conclusion(result: float, gold: float, text: str) -> Conclusion | None:
    """How a problem's answer follows from a result, if it does in a way that the problem or its solution speaks of.

    The whole numbers around a result count as answers, too: things that can't be cut are rounded up, or down.
    """
    text = text.lower()
    for python, value, why in _scaled(result, text):
        if math.isclose(value, gold, rel_tol=_CLOSE):
            return Conclusion(python, why)
    for python, value, _ in [("{}", result, ""), *_percent(result, text)]:
        if gold.is_integer() and value > 0 and 1e-3 < abs(value - gold) < 1:
            if re.search(r"\bnearest\b", text) and round(value) == gold:
                return Conclusion(f"round({python})", "Rounded to the nearest whole number")
            whole, why = ("ceil", "Rounded up") if gold > value else ("floor", "Rounded down")
            return Conclusion(f"math.{whole}({python})", why)
    return None


def _percent(result: float, text: str) -> Iterator[tuple[str, float, str]]:
    if re.search(r"%|\bpercent", text):
        yield "{} * 100", result * 100, "In percent"


def _scaled(result: float, text: str) -> Iterator[tuple[str, float, str]]:
    yield from _percent(result, text)
    for large, name, small, factor in _CONVERSIONS:
        if re.search(rf"(?<![a-z])(?:{small})(?![a-z])", text) and re.search(rf"(?<![a-z])(?:{large})(?![a-z])", text):
            yield f"{{}} * {factor}", result * factor, f"In {name}"
            yield f"{{}} / {factor}", result / factor, f"From {name}"
