"""The grader `math_verify`: Hugging Face's package of that name, as its README uses it.

Its time limits are signals, which work on the main thread only: they are switched off, and the limits of
dsmath/score/pool.py hold. The package takes a second to import, so that only worker processes do it.
"""

import functools
import logging
from typing import Any

from dsmath.error import UserError
from dsmath.records import Answer
from dsmath.suites import catalogue

# Pairs of a gold answer and a response, and whether they are the same.
_KNOWN = (
    ("5", "So the answer is $5$.", True),
    ("5", "So the answer is $6$.", False),
    (r"\frac{1}{2}", "0.5", True),
    (r"\sqrt{8}", r"\boxed{2\sqrt{2}}", True),
    (r"\sqrt{8}", r"\boxed{3\sqrt{2}}", False),
    (r"\{1,2\}", r"\boxed{\{2,1\}}", True),
    ("(1,2)", r"\boxed{(1,2)}", True),
    ("(1,2)", r"\boxed{(2,1)}", False),
    ("x+1", r"\boxed{1+x}", True),
    ("x+1", r"\boxed{x-1}", False),
    (r"\frac{\pi}{2}", r"\boxed{0.5\pi}", True),
    ("0.5", r"\boxed{1/2}", True),
)


@functools.cache
def check() -> None:
    """Raise UserError unless the package is there and known pairs get their verdicts."""
    _package()
    for gold, output, expected in _KNOWN:
        if verify(gold_text("gsm8k", gold), output) != expected:
            raise UserError(
                f"the grader math_verify finds {gold} and {output} {'different' if expected else 'equal'}; expected "
                "the version of math-verify that setup.py names: reinstall with `pip install -e '.[grade]'`"
            )


def extract(suite: str, question: str, text: str) -> Answer:
    """The string that the package finds in a response; empty if there is none."""
    found = _parse(text)
    return str(found[-1]) if found else ""


def gold_answer(suite: str, question: str, gold_source: str) -> Answer:
    """The string that the package finds in the gold answer."""
    return extract(suite, question, gold_text(suite, gold_source))


def gold_text(suite: str, gold_source: str) -> str:
    """The gold answer as the package wants it: a solution as it is, else a formula between dollars."""
    return gold_source if suite in catalogue.SOLUTIONS else f"${gold_source}$"


def verify(gold: str, output: str) -> bool:
    """Whether the answer that is found in `output` is the one that is found in `gold`."""
    return bool(_package().verify(_parse(gold), _parse(output), timeout_seconds=None))


@functools.lru_cache(maxsize=4)
def _parse(text: str) -> list[Any]:
    return _package().parse(text, parsing_timeout=None)


def _package() -> Any:
    try:
        import math_verify
    except ImportError as e:
        raise UserError(
            f"the grader math_verify needs the package math-verify ({e}); run `pip install -e '.[grade]'`"
        ) from e
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its time limits are off
    return math_verify
