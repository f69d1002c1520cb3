"""Scoring of a journal: trajectories.jsonl -> scores.jsonl and summary.json in the same folder.

Scoring again, with this grader or another one, replaces both files and touches nothing else.
"""

import collections
import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import rich.console
import rich.progress

from dsmath import journal
from dsmath.error import UserError
from dsmath.score import graders
from dsmath.score.statistics import accuracy

log = logging.getLogger(__name__)

TRAJECTORIES = "trajectories.jsonl"
SCORES = "scores.jsonl"
SUMMARY = "summary.json"

_PROBLEM = ("id", "sample", "suite", "lang", "question", "gold")
_ANSWER = ("mode", "response", "stop", "programs", "checkpoint", "sandbox", "protocol")


def score(
    folder: Path,
    grader: str = "reference",
    *,
    workers: int | None = None,
    timeout_s: float = graders.TIMEOUT_S,
) -> dict[str, Any]:
    """Grade the journal in WORKDIR/evals/STEP/SUITE-MODE and write its scores; the summary is returned.

    Shows a progress bar on stderr. Raises UserError if the journal can't be read, is empty, or mixes suites, modes,
    checkpoints or protocols, and if the grader's check fails.
    """
    folder = Path(folder)
    trajectories = list(read_trajectories(folder / TRAJECTORIES))
    if not trajectories:
        raise UserError(f"{folder / TRAJECTORIES} holds no finished problem; go on with `dsmath evaluate`")
    common = {key: _common(trajectories, key, folder) for key in ("suite", "mode", "checkpoint", "protocol")}
    items = [graders.Item(t["suite"], t["question"], t["gold"], t["response"]) for t in trajectories]
    grading = graders.grade_all(items, grader=grader, workers=workers, timeout_s=timeout_s)
    stderr = rich.console.Console(stderr=True)
    verdicts = list(rich.progress.track(grading, f"scoring {folder.name}", total=len(items), console=stderr))
    scores = [
        {
            "id": t["id"],
            "sample": t["sample"],
            "prediction": v.prediction,
            "answer": v.answer,
            "correct": v.correct,
            "reason": v.reason,
        }
        for t, v in zip(trajectories, verdicts, strict=True)
    ]
    step = int(folder.parent.name) if folder.parent.name.isdecimal() else folder.parent.name
    summary = {"step": step, **common, "grader": grader, **summarise(trajectories, verdicts)}
    write(folder / SCORES, (line(record) for record in scores))
    write(folder / SUMMARY, [json.dumps(summary, ensure_ascii=False, indent=1) + "\n"])
    return summary


def read_trajectories(path: Path) -> Iterator[dict[str, Any]]:
    """The journal's records. One that lacks a field, or repeats an (id, sample), is skipped and logged."""
    seen = set()
    for record in journal.read(path):
        key = (record.get("id"), record.get("sample"))
        if missing := [name for name in _PROBLEM + _ANSWER if name not in record]:
            log.warning("%s: skipped the record with id %r, which lacks %r", path, record.get("id"), missing[0])
        elif key in seen:
            log.warning("%s: skipped a second record of problem %s, sample %s", path, *key)
        else:
            seen.add(key)
            yield record


def summarise(trajectories: list[dict[str, Any]], verdicts: list[graders.Verdict]) -> dict[str, Any]:
    """Accuracies in percent with 95% intervals, and counts of how trajectories and programs ended."""
    correct = [verdict.correct for verdict in verdicts]
    langs = sorted({t["lang"] for t in trajectories})
    by_lang = {lang: _accuracy_where(trajectories, correct, lang) for lang in langs}
    programs = [program for t in trajectories for program in t["programs"]]
    return {
        **accuracy([t["id"] for t in trajectories], correct),
        **({"by_lang": by_lang} if len(langs) > 1 else {}),
        "sandbox": sorted({t["sandbox"]["level"] for t in trajectories}),
        "reasons": _counts(verdict.reason for verdict in verdicts),
        "stops": _counts(t["stop"] for t in trajectories),
        "programs": len(programs),
        "program_exits": _counts(program["exit"] for program in programs),
    }


def _accuracy_where(trajectories: list[dict[str, Any]], correct: list[bool], lang: str) -> dict[str, Any]:
    pairs = [(t["id"], c) for t, c in zip(trajectories, correct, strict=True) if t["lang"] == lang]
    return accuracy(*zip(*pairs, strict=True))


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(collections.Counter(values).items()))


def _common(trajectories: list[dict[str, Any]], key: str, folder: Path) -> str:
    values = sorted({t[key] for t in trajectories})
    if len(values) > 1:
        raise UserError(
            f"{folder / TRAJECTORIES} mixes {key} {values[0]!r} and {values[1]!r}; expected one per journal"
        )
    return values[0]


def line(record: dict[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def write(path: Path, lines: Iterable[str]) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as e:
        raise UserError(f"cannot write {path}: {e.strerror}; free some space or choose another place") from e
