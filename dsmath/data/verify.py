"""The stage that runs programs: a candidate stays if its program ends well and prints the answer.

From file to file: what ran stands in STAGES/<source>-verified-<digest of its inputs>.jsonl, line by line, so that a
killed preparation goes on behind the last one, and what was dropped can be looked at.
"""

import collections
import dataclasses
import hashlib
import itertools
import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from dsmath import journal
from dsmath.answers import compare
from dsmath.data.source import Inputs
from dsmath.records import Exit, Ran
from dsmath.sandbox.client import Sandbox

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A program and the answer that it is to print."""

    id: str
    code: str
    answer: str


@dataclasses.dataclass(frozen=True)
class Verified:
    """A program that printed the answer."""

    id: str
    code: str
    stdout: str


def verified(candidates: Iterable[Candidate], inputs: Inputs, drops: collections.Counter[str]) -> Iterator[Verified]:
    """The candidates that stay, in their order; `drops` counts the others by reason.

    Programs are taken from `candidates` a bounded number ahead, and run `inputs.limits.workers` at a time.
    """
    path = inputs.stages / f"{inputs.source}-verified-{_digest(inputs.pinned)}.jsonl"
    if not path.exists():
        with journal.continued(path, inputs.pinned) as (out, done):
            if done:
                log.info("%s: %d programs ran already", path, len(done))
            with Sandbox(inputs.limits) as sandbox:
                left = itertools.islice(candidates, len(done), None)
                for candidate, ran in sandbox.in_order((candidate, candidate.code) for candidate in left):
                    out.append(_record(candidate, ran))
    else:
        collections.deque(candidates, maxlen=0)  # counts what gave no candidate
    for record in journal.read(path):
        if record["dropped"]:
            drops[record["dropped"]] += 1
        else:
            yield Verified(record["id"], record["code"], record["stdout"])


def _record(candidate: Candidate, ran: Ran) -> dict[str, str | None]:
    return {
        **dataclasses.asdict(candidate),
        "stdout": ran.stdout,
        "exit": ran.exit.value,
        "dropped": _why(candidate, ran),
    }


def _why(candidate: Candidate, ran: Ran) -> str | None:
    """Why a candidate is dropped, None if it isn't."""
    if ran.exit is not Exit.OK:
        return f"the program ended in {ran.exit}"
    if not compare.same(ran.stdout.strip(), candidate.answer):
        return "the program prints another answer"
    return None


def _digest(pinned: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(pinned, sort_keys=True).encode()).hexdigest()[:8]
