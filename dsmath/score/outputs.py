"""Grading of a file of outputs: IN -> OUT, one line per output in the order of IN.

OUT's lines are IN's records (dsmath/score/foreign.py) with prediction, answer, correct and reason added; with "all"
graders these are the reference grader's, and verdicts holds those of each grader under its name.
"""

import collections
import dataclasses
import hashlib
import logging
from pathlib import Path
from typing import Any

import rich.console
import rich.progress

from dsmath import journal
from dsmath.error import UserError
from dsmath.score import foreign, graders, scoring
from dsmath.score.counts.statistics import accuracy
from dsmath.score.graders import Grading

log = logging.getLogger(__name__)


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

    Until all is graded, lines are in OUT.partial, behind which the same call goes on. Where the file says what its
    authors' grader found, the summary counts the outputs on which ours differs. Several outputs with the same id, or
    without ids for the same question, are samples of one problem: see `accuracy`. Shows a progress bar on stderr.
    Raises UserError if the file can't be read, is empty or has a bad row.
    """
    records = list(foreign.read(path, suite))
    if not records:
        raise UserError(f"{path} holds no output; expected one per line")
    if out.is_dir():
        raise UserError(f"{out} is a folder; expected the file to write, such as {out}/scores.jsonl")
    names = list(graders.GRADERS) if grader == scoring.ALL else [grader]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    pinned = {"outputs": digest, "suite": suite, "grader": grader}
    with journal.continued(out, pinned) as (lines, done), Grading(workers=workers, timeout_s=timeout_s) as grading:
        if done:
            log.info("%d of %d outputs are graded in %s already", len(done), len(records), lines.path)
        left = records[len(done) :]
        items = [graders.Item(r["suite"], r["question"], r["gold_source"], r["output"]) for r in left]
        verdicts = zip(*(grading.grade_all(items, grader=name) for name in names), strict=True)
        stderr = rich.console.Console(stderr=True)
        shown = rich.progress.track(zip(left, verdicts, strict=True), path.name, total=len(left), console=stderr)
        for record, (first, *others) in shown:
            line = record | dataclasses.asdict(first)
            if others:
                line["verdicts"] = scoring.side_by_side(dict(zip(names, (first, *others), strict=True)))
            lines.append(line)
            done.append(line)
    problems = [_problem(record) for record in records]
    return {
        "outputs": str(path),
        "out": str(out),
        "suites": sorted({record["suite"] for record in records}),
        "grader": names[0],
        **accuracy(problems, [line["correct"] for line in done]),
        "reasons": dict(sorted(collections.Counter(line["reason"] for line in done).items())),
        **({"graders": scoring.accuracies(problems, done)} if len(names) > 1 else {}),
        **_against_published(done),
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
