"""Graders: from a response to a verdict, one item at a time or many under a time limit.

    verdict = grade("gsm8k", question, gold_source, output)
    for verdict in grade_all(items): ...

What takes time is done in worker processes (dsmath/score/pool.py); what plain comparison decides, isn't.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dsmath.answers import compare, numeric
from dsmath.error import UserError
from dsmath.records import Answer, Verdict
from dsmath.score import math_verify
from dsmath.score.pool import Lost, Pool
from dsmath.score.reference import equal, extract, symbolic
from dsmath.score.strict import extraction

TIMEOUT_S = 15.0  # per item; reference protocol
MEMORY_MB = 1024  # of a worker's address space
_QUICK_CHARACTERS = 10_000  # longer items go to a worker unread: some patterns take quadratic time


@dataclasses.dataclass(frozen=True)
class Item:
    """What is graded."""

    suite: str
    question: str
    gold_source: str
    output: str


@dataclasses.dataclass(frozen=True)
class Grader:
    """How one protocol reads and compares answers.

    `rule` asks `symbolic` about what plain comparison can't decide: that takes time, and is done in a worker.
    """

    extract: Callable[[str, str, str], Answer]  # suite, question, output
    gold: Callable[[str, str, str], Answer]  # suite, question, gold_source
    rule: Callable[[Item, Answer, Answer, Callable[..., bool]], str]  # prediction, gold, symbolic: who accepts, or ""
    symbolic: Callable[..., bool]
    check: Callable[[], None]  # raises UserError if this grader can't be trusted here
    quick: bool = True  # whether extraction and rule take no time without `symbolic`


def _reference_rule(item: Item, prediction: Answer, gold: Answer, symbolic_equal: equal.Symbolic) -> str:
    return equal.verdict(prediction, gold, symbolic_equal)


def _strict_rule(item: Item, prediction: Answer, gold: Answer, holds: compare.Holds) -> str:
    return compare.verdict(item.question, prediction, gold, holds)


def _math_verify_rule(item: Item, prediction: Answer, gold: Answer, verify: Callable[[str, str], bool]) -> str:
    return "equal" if verify(math_verify.gold_text(item.suite, item.gold_source), item.output) else ""


_REFERENCE = Grader(
    extract=extract.extract,
    gold=extract.gold_answer,
    rule=_reference_rule,
    symbolic=symbolic.symbolic_equal,
    check=symbolic.check_parser,
)

GRADERS = {
    "reference": _REFERENCE,
    "strict": Grader(
        extract=extraction.extract,
        gold=extraction.gold_answer,
        rule=_strict_rule,
        symbolic=numeric.holds,
        check=compare.check,
    ),
    "math_verify": Grader(
        extract=math_verify.extract,
        gold=math_verify.gold_answer,
        rule=_math_verify_rule,
        symbolic=math_verify.verify,
        check=math_verify.check,
        quick=False,
    ),
    "reference_output": dataclasses.replace(_REFERENCE, extract=extract.extract_output),
}


def find(name: str) -> Grader:
    """The grader of that name. Raises UserError if there is none."""
    if name not in GRADERS:
        raise UserError(f"no grader is named {name!r}; expected one of: {', '.join(GRADERS)}")
    return GRADERS[name]


def grade(suite: str, question: str, gold_source: str, output: str, *, grader: str = "reference") -> Verdict:
    """Grade one item here and now, without limits on time and memory."""
    record = find(grader)
    return _grade(Item(suite, question, gold_source, output), record, record.symbolic)


class Grading:
    """Grading of many items, in worker processes that live as long as this does; a context.

    `workers` processes per grader, as many as there are cores by default, take what takes time. One that exceeds
    `timeout_s` or `memory_mb` on an item is killed and replaced: that costs its item.
    """

    def __init__(self, *, workers: int | None = None, timeout_s: float = TIMEOUT_S, memory_mb: int = MEMORY_MB):
        self._workers = workers or os.cpu_count() or 1
        self._timeout_s, self._memory_mb = timeout_s, memory_mb
        self._pools: dict[str, Pool] = {}
        self._stack = contextlib.ExitStack()

    def grade_all(self, items: Iterable[Item], *, grader: str = "reference") -> Iterator[Verdict]:
        """Verdicts in the order of the items. Raises UserError before the first one if the grader's check fails."""
        record = find(grader)
        pool = self._pool(grader)
        pending = [(item, _quick(item, record) or pool.submit(item)) for item in items]
        for item, result in pending:
            yield result if isinstance(result, Verdict) else _received(item, record, result.result())

    def _pool(self, grader: str) -> Pool:
        if grader not in self._pools:
            pool = Pool([grader, str(self._memory_mb)], workers=self._workers, timeout_s=self._timeout_s)
            self._pools[grader] = self._stack.enter_context(pool)
        return self._pools[grader]

    def __enter__(self) -> "Grading":
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()


def grade_all(items: Iterable[Item], *, grader: str = "reference", **limits: Any) -> Iterator[Verdict]:
    """`Grading.grade_all` with workers of its own; `limits` are those of `Grading`."""
    with Grading(**limits) as grading:
        yield from grading.grade_all(items, grader=grader)


class _NeedsWorkerError(Exception):
    """Plain comparison can't decide."""


def _refuse(*_: object) -> bool:
    raise _NeedsWorkerError


def _is_short(item: Item) -> bool:
    return len(item.question) + len(item.gold_source) + len(item.output) <= _QUICK_CHARACTERS


def _quick(item: Item, grader: Grader) -> Verdict | None:
    """The verdict if it takes no time."""
    if not (grader.quick and _is_short(item)):
        return None
    try:
        return _grade(item, grader, _refuse)
    except _NeedsWorkerError:
        return None


def _grade(item: Item, grader: Grader, symbolic_equal: Callable[..., bool]) -> Verdict:
    prediction = grader.extract(item.suite, item.question, item.output)
    answer = grader.gold(item.suite, item.question, item.gold_source)
    try:
        rule = grader.rule(item, prediction, answer, symbolic_equal)
    except RecursionError:
        return Verdict(prediction, answer, False, "too deep")
    reason = rule or ("different" if prediction else "no answer")
    return Verdict(prediction, answer, bool(rule), reason)


def _received(item: Item, grader: Grader, reply: dict | Lost) -> Verdict:
    """The verdict that a worker sent, or a wrong one for an item that was lost."""
    if not isinstance(reply, Lost):
        return Verdict(**reply)
    if not (grader.quick and _is_short(item)):  # reading the answers may be what hung
        return Verdict("", "", False, reply.value)
    prediction = grader.extract(item.suite, item.question, item.output)
    return Verdict(prediction, grader.gold(item.suite, item.question, item.gold_source), False, reply.value)
