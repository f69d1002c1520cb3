"""Scoring of a journal: trajectories.jsonl -> scores.jsonl and summary.json in the same folder.

scores.jsonl, a line per response: id, sample, prediction, answer, correct, reason, outcome; program_correct, the
verdict on the output of the last program (null without one); where there are several samples, vote: the first sample of
the problem with an equal answer.

summary.json: how the numbers came about (step, suite, mode, checkpoint, protocol, grader, sandbox, settings); n,
correct, accuracy and interval in percent; breakdowns, reasons, stops, outcomes, tools; sampling, if there are several
samples.

graders.jsonl, after scoring with "all" graders: id, sample, and verdicts, which holds prediction, answer, correct and
reason under each grader's name. The summary then has their accuracies as `graders`; everything else in the two files
above is by the first of them, the reference grader.

Scoring again, with this grader or another one, replaces the files that it writes and touches nothing else.
"""

import collections
import dataclasses
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import rich.console
import rich.progress

from dsmath import journal
from dsmath.error import UserError
from dsmath.score import graders
from dsmath.score.counts import samples
from dsmath.score.counts.breakdown import breakdown
from dsmath.score.counts.outcomes import outcome
from dsmath.score.counts.statistics import accuracy
from dsmath.score.counts.tools import tool_use
from dsmath.score.graded import graded as graded_text

log = logging.getLogger(__name__)

TRAJECTORIES = "trajectories.jsonl"
SCORES = "scores.jsonl"
SUMMARY = "summary.json"
GRADERS = "graders.jsonl"
SETTINGS = "settings.json"  # what `dsmath evaluate` began the journal with

ALL = "all"  # in place of a grader's name
OUTPUT_GRADER = "reference_output"  # takes the last program's output for the answer

Record = dict[str, Any]
Grade = Callable[[str, list[graders.Item]], list[graders.Verdict]]  # by the grader of that name

_SCORE = ("id", "sample", "prediction", "answer", "correct", "reason", "outcome", "program_correct", "vote")
_VERDICT = tuple(field.name for field in dataclasses.fields(graders.Verdict))
_PROBLEM = ("id", "sample", "suite", "lang", "question", "gold", "meta")
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

    def grade(name: str, items: list[graders.Item]) -> list[graders.Verdict]:
        grading = graders.grade_all(items, grader=name, workers=workers, timeout_s=timeout_s)
        stderr = rich.console.Console(stderr=True)
        return list(rich.progress.track(grading, f"{folder.name}: {name}", total=len(items), console=stderr))

    main, *rest = all_graders(common["mode"]) if grader == ALL else [grader]
    others = {name: grade(name, [_item(t, graded_text(t)) for t in trajectories]) for name in rest}
    records = graded(trajectories, main, grade, strict=others.get("strict"))
    step = int(folder.parent.name) if folder.parent.name.isdecimal() else folder.parent.name
    summary = {"step": step, **common, "grader": main, "settings": read_settings(folder), **summarise(records)}
    if grader == ALL:
        lines = [
            {
                "id": record["id"],
                "sample": record["sample"],
                "verdicts": side_by_side(record, main, {name: verdicts[i] for name, verdicts in others.items()}),
            }
            for i, record in enumerate(records)
        ]
        summary["graders"] = accuracies([record["id"] for record in records], lines)
        journal.write(folder / GRADERS, map(journal.line, lines))
    journal.write(folder / SCORES, (journal.line({name: r[name] for name in _SCORE if name in r}) for r in records))
    journal.write(folder / SUMMARY, [json.dumps(summary, ensure_ascii=False, indent=1) + "\n"])
    return summary


def all_graders(mode: str) -> list[str]:
    """Those that "all" stands for: in mode "cot" there is no program whose output could be graded."""
    return [name for name in graders.GRADERS if name != OUTPUT_GRADER or mode != "cot"]


def graded(
    trajectories: list[Record], grader: str, grade: Grade, *, strict: list[graders.Verdict] | None = None
) -> list[Record]:
    """The trajectories with their scores. `strict` are the verdicts of the strict grader, if they are known."""
    ran = [i for i, t in enumerate(trajectories) if t["programs"] and t["programs"][-1]["exit"] == "ok"]
    outputs = [_item(trajectories[i], f"```output\n{trajectories[i]['programs'][-1]['shown']}\n```") for i in ran]
    verdicts = grade(grader, [_item(t, graded_text(t)) for t in trajectories] + outputs)
    program_correct = {i: v.correct for i, v in zip(ran, verdicts[len(trajectories) :], strict=True)}
    records = []
    for i, (trajectory, verdict) in enumerate(zip(trajectories, verdicts, strict=False)):
        record = trajectory | dataclasses.asdict(verdict) | {"program_correct": program_correct.get(i)}
        strict_correct = strict[i].correct if strict else None
        record["outcome"] = outcome(
            record, program_correct=record["program_correct"], strict_correct=strict_correct
        ).value
        records.append(record)
    if len({record["id"] for record in records}) < len(records):
        votes = samples.vote(records, lambda items: [verdict.correct for verdict in grade(grader, items)])
        for record, vote in zip(records, votes, strict=True):
            record["vote"] = vote
    return records


def summarise(records: list[Record]) -> dict[str, Any]:
    """Accuracies in percent with 95% intervals, and counts of how responses and programs ended."""
    several = "vote" in records[0]
    return {
        **accuracy([record["id"] for record in records], [record["correct"] for record in records]),
        **({"sampling": samples.sampled(records, [record["vote"] for record in records])} if several else {}),
        "breakdowns": breakdown(records),
        "sandbox": sorted({record["sandbox"]["level"] for record in records}),
        "reasons": _counts(record["reason"] for record in records),
        "stops": _counts(record["stop"] for record in records),
        "outcomes": _counts(record["outcome"] for record in records),
        "tools": tool_use(records),
    }


def read_trajectories(path: Path) -> Iterator[Record]:
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


def read_scored(folder: Path) -> list[Record]:
    """The trajectories of a folder, each with its score; those without one are left out.

    What dsmath/score/counts/breakdown.py and tools.py take. Raises UserError if a file can't be read.
    """
    scores = {(record["id"], record["sample"]): record for record in journal.read(Path(folder) / SCORES)}
    trajectories = read_trajectories(Path(folder) / TRAJECTORIES)
    return [t | scores[t["id"], t["sample"]] for t in trajectories if (t["id"], t["sample"]) in scores]


def side_by_side(record: Record, main: str, others: dict[str, graders.Verdict]) -> dict[str, dict[str, Any]]:
    """The verdicts of all graders by name; that of the grader `main` is the record's own."""
    own = {name: record[name] for name in _VERDICT}
    return {main: own} | {name: dataclasses.asdict(verdict) for name, verdict in others.items()}


def accuracies(problems: list[Any], lines: list[Record]) -> dict[str, dict[str, Any]]:
    """The accuracy by each grader, of lines that hold verdicts side by side."""
    return {
        name: accuracy(problems, [line["verdicts"][name]["correct"] for line in lines]) for name in lines[0]["verdicts"]
    }


def _item(trajectory: Record, output: str) -> graders.Item:
    return graders.Item(trajectory["suite"], trajectory["question"], trajectory["gold"], output)


def read_settings(folder: Path) -> dict[str, Any]:
    """How the journal was sampled; empty if that isn't known. Raises UserError if the file is torn."""
    path = folder / SETTINGS
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as e:
        raise UserError(f"cannot read {path}: {e}; write it again, or remove that folder to begin anew") from e


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(collections.Counter(values).items()))


def _common(trajectories: list[Record], key: str, folder: Path) -> str:
    values = sorted({t[key] for t in trajectories})
    if len(values) > 1:
        raise UserError(
            f"{folder / TRAJECTORIES} mixes {key} {values[0]!r} and {values[1]!r}; expected one per journal"
        )
    return values[0]
