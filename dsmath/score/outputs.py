"""Grading of a file of outputs: IN -> OUT, one line per output in the order of IN.

OUT's lines are IN's records (dsmath/score/foreign.py) with prediction, answer, correct and reason added.
"""

import collections
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rich.console
import rich.progress

from dsmath.error import UserError
from dsmath.score import foreign, graders, scoring
from dsmath.score.statistics import accuracy


def score_outputs(
    path: Path,
    out: Path,
    *,
    suite: str | None = None,
    grader: str = "reference",
    workers: int | None = None,
    timeout_s: float = graders.TIMEOUT_S,
) -> dict[str, Any]:
    """Grade the outputs in a file, write `out` whole or not at all, and return a summary.

    Where the file says what its authors' grader found, the summary counts the outputs on which ours differs. Several
    outputs with the same id, or without ids for the same question, are samples of one problem: see `accuracy`. Shows a
    progress bar on stderr. Raises UserError if the file can't be read, is empty or has a bad row.
    """
    records = list(foreign.read(path, suite))
    if not records:
        raise UserError(f"{path} holds no output; expected one per line")
    items = [graders.Item(r["suite"], r["question"], r["gold_source"], r["output"]) for r in records]
    verdicts = []

    def lines() -> Iterator[str]:
        grading = graders.grade_all(items, grader=grader, workers=workers, timeout_s=timeout_s)
        stderr = rich.console.Console(stderr=True)
        tracked = rich.progress.track(grading, f"scoring {Path(path).name}", total=len(items), console=stderr)
        for record, verdict in zip(records, tracked, strict=True):
            verdicts.append(verdict)
            yield scoring.line(record | dataclasses.asdict(verdict))

    scoring.write(Path(out), lines())
    correct = [verdict.correct for verdict in verdicts]
    return {
        "outputs": str(path),
        "out": str(out),
        "suites": sorted({record["suite"] for record in records}),
        "grader": grader,
        **accuracy([_problem(record) for record in records], correct),
        "reasons": dict(sorted(collections.Counter(verdict.reason for verdict in verdicts).items())),
        **_against_published(records, correct),
    }


def _problem(record: foreign.Record) -> tuple[str, str]:
    identity = record.get("id")
    return record["suite"], record["question"] if identity is None else f"id {identity}"


def _against_published(records: list[foreign.Record], correct: list[bool]) -> dict[str, Any]:
    pairs = [(r["published_correct"], c) for r, c in zip(records, correct, strict=True) if "published_correct" in r]
    if not pairs:
        return {}
    return {
        "published": {
            "n": len(pairs),
            "correct": sum(published for published, _ in pairs),
            "only_published": sum(published and not ours for published, ours in pairs),
            "only_ours": sum(ours and not published for published, ours in pairs),
        }
    }
