"""Grading of a file of outputs: IN -> OUT, one line per output in the order of IN.

OUT's lines are IN's records (dsmath/score/foreign.py) with prediction, answer, correct and reason added; with "all"
graders these are the reference grader's, and verdicts holds those of each grader under its name.
"""

import collections
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rich.console
import rich.progress

from dsmath import journal
from dsmath.error import UserError
from dsmath.score import foreign, graders, scoring
from dsmath.score.counts.statistics import accuracy


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

    def grade(name: str) -> Iterator[graders.Verdict]:
        grading = graders.grade_all(items, grader=name, workers=workers, timeout_s=timeout_s)
        stderr = rich.console.Console(stderr=True)
        return rich.progress.track(grading, f"{Path(path).name}: {name}", total=len(items), console=stderr)

    main, *rest = graders.GRADERS if grader == scoring.ALL else [grader]
    graded = []

    def lines() -> Iterator[str]:
        others = {name: list(grade(name)) for name in rest}
        for i, (record, verdict) in enumerate(zip(records, grade(main), strict=True)):
            graded.append(record | dataclasses.asdict(verdict))
            if rest:
                graded[i]["verdicts"] = scoring.side_by_side(main, others, i, verdict)
            yield journal.line(graded[i])

    if Path(out).is_dir():
        raise UserError(f"{out} is a folder; expected the file to write, such as {out}/scores.jsonl")
    journal.write(Path(out), lines())  # opened before it is graded: a wrong path costs nothing
    problems = [_problem(record) for record in records]
    return {
        "outputs": str(path),
        "out": str(out),
        "suites": sorted({record["suite"] for record in records}),
        "grader": main,
        **accuracy(problems, [record["correct"] for record in graded]),
        "reasons": dict(sorted(collections.Counter(record["reason"] for record in graded).items())),
        **({"graders": scoring.accuracies(problems, graded)} if rest else {}),
        **_against_published(graded),
    }


def _problem(record: foreign.Record) -> tuple[str, str]:
    identity = record.get("id")
    return record["suite"], record["question"] if identity is None else f"id {identity}"


def _against_published(graded: list[foreign.Record]) -> dict[str, Any]:
    pairs = [(record["published_correct"], record["correct"]) for record in graded if "published_correct" in record]
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
