"""Scoring of a journal: trajectories.jsonl -> scores.jsonl and summary.json in the same folder.

scores.jsonl, a line per response: id, sample, prediction, answer, correct, reason, outcome; program_correct, the
verdict on the output of the last program (null without one); where there are several samples, vote: the first sample of
the problem with an equal answer.

summary.json: how the numbers came about (step, suite, mode, checkpoint, template, protocol, grader, sandbox, settings);
n, correct, accuracy and interval in percent; breakdowns, reasons, stops, outcomes, tools; cost; sampling, if there are
several samples.

graders.jsonl, after scoring with "all" graders: id, sample, and verdicts, which holds prediction, answer, correct and
reason under each grader's name. The summary then has their accuracies as `graders`; everything else in the two files
above is by the first of them, the reference grader.

Scoring again, with this grader or another one, replaces the files that it writes and touches nothing else.
"""

import collections
import dataclasses
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import rich.console
import rich.progress

from dsmath import journal, runs
from dsmath.error import UserError
from dsmath.records import COT, Exit, Trajectory, Verdict
from dsmath.score.counts import samples
from dsmath.score.counts.breakdown import breakdown
from dsmath.score.counts.cost import cost
from dsmath.score.counts.outcomes import Outcome, outcome
from dsmath.score.counts.statistics import accuracy
from dsmath.score.counts.tools import tool_use
from dsmath.score.graded import Graded, graded_text, output
from dsmath.score.graders import GRADERS, Grading, Item

log = logging.getLogger(__name__)

ALL = "all"  # in place of a grader's name
OUTPUT_GRADER = "reference_output"  # takes the last program's output for the answer

Summary = dict[str, Any]  # JSON values
Grade = Callable[[str, list[Item]], list[Verdict]]  # by the grader of that name


def score(
    evaluation: runs.Evaluation,
    grading: Grading,
    grader: str = "reference",
    *,
    keys: Collection[tuple[str, int]] | None = None,
) -> Summary:
    """Grade an evaluation's journal and write its scores; the summary is returned.

    `keys` are the (id, sample) that count, all by default. Shows a progress bar on stderr. Raises UserError if the
    journal can't be read, is empty, or mixes suites, modes, checkpoints, steps or protocols, and if the grader's check
    fails.
    """
    found = (t for t in read_trajectories(*evaluation.journals()) if keys is None or t.key in keys)
    trajectories = sorted(found, key=lambda t: t.key)  # they stand in the order in which they were finished
    if not trajectories:
        raise UserError(f"{evaluation.trajectories} holds no finished problem; go on with `dsmath evaluate`")
    common = _common(trajectories, evaluation.trajectories)

    def grade(name: str, items: list[Item]) -> list[Verdict]:
        verdicts = grading.grade_all(items, grader=name)
        stderr = rich.console.Console(stderr=True)
        what = f"{evaluation.folder.name}: {name}"
        return list(rich.progress.track(verdicts, what, total=len(items), console=stderr))

    main, *rest = all_graders(trajectories[0].mode) if grader == ALL else [grader]
    others = {name: grade(name, [_item(t, graded_text(t)) for t in trajectories]) for name in rest}
    records = graded(trajectories, main, grade, strict=others.get("strict"))
    settings = runs.read_pinned(evaluation.settings)
    summary = {
        **common,
        "template": settings.get("template"),
        "grader": main,
        "settings": settings,
        **summarise(records),
    }
    if grader == ALL:
        lines = [
            {
                "id": r.problem,
                "sample": r.trajectory.sample,
                "verdicts": side_by_side({main: r.verdict} | {name: found[i] for name, found in others.items()}),
            }
            for i, r in enumerate(records)
        ]
        summary["graders"] = accuracies([record.problem for record in records], lines)
        journal.write(evaluation.graders, map(journal.line, lines))
    journal.write(evaluation.scores, (journal.line(_score(record)) for record in records))
    journal.write(evaluation.summary, [json.dumps(summary, ensure_ascii=False, indent=1) + "\n"])
    return summary


def all_graders(mode: str) -> list[str]:
    """Those that "all" stands for: in mode "cot" there is no program whose output could be graded."""
    return [name for name in GRADERS if name != OUTPUT_GRADER or mode != COT]


def graded(
    trajectories: list[Trajectory], grader: str, grade: Grade, *, strict: list[Verdict] | None = None
) -> list[Graded]:
    """The trajectories with their grades. `strict` are the verdicts of the strict grader, if they are known."""
    lasts = [(i, t.last_program) for i, t in enumerate(trajectories)]
    ran = {i: last.shown for i, last in lasts if last and last.ran.exit is Exit.OK}
    outputs = [_item(trajectories[i], output(shown)) for i, shown in ran.items()]
    verdicts = grade(grader, [_item(t, graded_text(t)) for t in trajectories] + outputs)
    program_correct = {i: v.correct for i, v in zip(ran, verdicts[len(trajectories) :], strict=True)}
    records = []
    for i, (trajectory, verdict) in enumerate(zip(trajectories, verdicts, strict=False)):
        of_program = program_correct.get(i)
        strictly = strict[i].correct if strict else None
        became = outcome(trajectory, verdict, program_correct=of_program, strict_correct=strictly)
        records.append(Graded(trajectory, verdict, of_program, became))
    if not _several_samples(records):
        return records
    votes = samples.votes_of(records, lambda items: [verdict.correct for verdict in grade(grader, items)])
    return [dataclasses.replace(record, vote=vote) for record, vote in zip(records, votes, strict=True)]


def summarise(records: list[Graded]) -> Summary:
    """Accuracies in percent with 95% intervals, counts of how responses and programs ended, and what it all cost."""
    trajectories = [record.trajectory for record in records]
    return {
        **accuracy([record.problem for record in records], [record.correct for record in records]),
        **({"sampling": samples.sampled(records)} if _several_samples(records) else {}),
        "breakdowns": breakdown(records),
        "sandbox": sorted({trajectory.sandbox["level"] for trajectory in trajectories}),
        "reasons": _counts(record.verdict.reason for record in records),
        "stops": _counts(trajectory.stop.value for trajectory in trajectories),
        "outcomes": _counts(record.outcome.value for record in records),
        "tools": tool_use(records),
        "cost": cost(trajectories),
    }


def read_trajectories(*paths: Path) -> Iterator[Trajectory]:
    """The records of journals. One that is malformed, or repeats an (id, sample), is skipped and logged.

    Raises UserError if a file can't be read, or holds what another version wrote.
    """
    seen = set()
    lines = ((path, *line) for path in paths for line in journal.numbered(path))
    for path, number, values in lines:
        if ("version" in values and values["version"] != Trajectory.VERSION) or "tool_spans" in values:
            raise UserError(
                f"{path}:{number} was written by another version of dsmath ({values.get('version', 1)}, this one reads "
                f"{Trajectory.VERSION}); evaluate anew in another --workdir, or score it with the version that wrote it"
            )
        try:
            trajectory = Trajectory.from_json(values)
        except KeyError as e:
            log.warning("%s:%d: skipped the record with id %r, which lacks %s", path, number, values.get("id"), e)
            continue
        except (TypeError, ValueError) as e:
            log.warning("%s:%d: skipped the record with id %r: %s", path, number, values.get("id"), e)
            continue
        if trajectory.key in seen:
            log.warning("%s: skipped a second record of problem %s, sample %s", path, *trajectory.key)
            continue
        seen.add(trajectory.key)
        yield trajectory


def read_graded(evaluation: runs.Evaluation) -> list[Graded]:
    """The trajectories of an evaluation, each with its grade; those without one are left out.

    Raises UserError if a file can't be read.
    """
    scores = {(score["id"], score["sample"]): score for score in journal.read(evaluation.scores)}
    return [
        Graded(
            trajectory,
            Verdict(**{field.name: score[field.name] for field in dataclasses.fields(Verdict)}),
            score["program_correct"],
            Outcome(score["outcome"]),
            score.get("vote"),
        )
        for trajectory in read_trajectories(*evaluation.journals())
        if (score := scores.get(trajectory.key))
    ]


def _score(record: Graded) -> dict[str, Any]:
    return {
        "id": record.problem,
        "sample": record.trajectory.sample,
        **dataclasses.asdict(record.verdict),
        "outcome": record.outcome.value,
        "program_correct": record.program_correct,
        "vote": record.vote,
    }


def side_by_side(verdicts: dict[str, Verdict]) -> dict[str, dict[str, Any]]:
    """The verdicts of several graders on one item, by their names, as JSON values."""
    return {name: dataclasses.asdict(verdict) for name, verdict in verdicts.items()}


def accuracies(problems: list[Any], lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The accuracy by each grader, of lines that hold verdicts side by side."""
    return {
        name: accuracy(problems, [line["verdicts"][name]["correct"] for line in lines]) for name in lines[0]["verdicts"]
    }


def _several_samples(records: list[Graded]) -> bool:
    return len({record.problem for record in records}) < len(records)


def _item(trajectory: Trajectory, text: str) -> Item:
    return Item(trajectory.problem.suite, trajectory.problem.question, trajectory.problem.gold, text)


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(collections.Counter(values).items()))


def _common(trajectories: list[Trajectory], path: Path) -> dict[str, Any]:
    """What must be the same in all of a journal."""
    facts = [
        {"step": t.step, "suite": t.problem.suite, "mode": t.mode, "checkpoint": t.checkpoint, "protocol": t.protocol}
        for t in trajectories
    ]
    for name in facts[0]:
        values = sorted({fact[name] for fact in facts}, key=str)
        if len(values) > 1:
            raise UserError(f"{path} mixes {name} {values[0]!r} and {values[1]!r}; expected one per journal")
    return facts[0]
