"""The problems that a model is to solve: those of training sources that have a gold, each once.

No question of a benchmark is among them: sources read training files alone, and what holds a part of a suite that the
training set is kept apart from (config.data.decontaminate) is left out, as `prepare` would.
"""

import collections
import dataclasses
import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

from dsmath.config import Annotate, Config, need
from dsmath.data import inputs
from dsmath.data.inputs import Input
from dsmath.data.source import Draft, Row, Source, Unusable
from dsmath.data.sources import known
from dsmath.data.stages import decontaminate, raw
from dsmath.data.stages.ngrams import Index
from dsmath.data.stages.shards import counted
from dsmath.error import UserError
from dsmath.records import MODES, Problem

SOLVED = "has a solution in the training set"
NO_GOLD = "no gold"
ASKED = "asked before"
NOT_DRAWN = "beyond the limit"


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked of a source."""

    problems: list[Problem]
    skipped: dict[str, int]  # rows that gave no problem, by the reason
    digests: dict[str, str]  # SHA-256 of its files


def checked(config: Config) -> Annotate:
    """The section `annotate` of a config. Raises UserError for what can't be annotated."""
    section = need(config.annotate, "annotate")
    names = section.sources
    if not names or not set(names) <= set(known.SOURCES) or len(set(names)) < len(names):
        expected = ", ".join(known.SOURCES)
        raise UserError(f"config.annotate.sources is {names}; expected one or more of {expected}, each once")
    if section.mode not in MODES:
        raise UserError(f"config.annotate.mode is {section.mode!r}; expected one of: {', '.join(MODES)}")
    if "embedded" in names and section.embedded_problems < 1:
        raise UserError("config.annotate.embedded_problems is 0; expected at least 1")
    return section


def find(
    config: Config, data_dir: Path | None, *, solved: Collection[str], allow_missing: bool
) -> tuple[dict[str, Asked], dict[str, str]]:
    """What is asked of each source of `config.annotate`, and what is missing, with the reason. Questions that are
    `solved` are left out.

    Raises UserError for files that are missing (unless `allow_missing`), and if nothing is left to ask.
    """
    section, data = checked(config), need(config.data, "data")
    data = dataclasses.replace(data, sources=section.sources, embedded_problems=section.embedded_problems)
    found = inputs.find(config, data, data_dir, allow_missing=allow_missing)
    benchmarks = decontaminate.index({"id": p.id, "question": p.question} for p in found.benchmarks)
    seen: set[str] = set()
    asked = {}
    for name, input in found.sources.items():
        skipped: collections.Counter[str] = collections.Counter()
        problems = []
        for problem in _problems(input, skipped):
            if reason := _reason(problem.question, seen, solved, benchmarks):
                skipped[reason] += 1
            else:
                problems.append(problem)
            seen.add(problem.question)
        drawn = _drawn(problems, section.limit, config.seed)
        if len(drawn) < len(problems):
            skipped[NOT_DRAWN] = len(problems) - len(drawn)
        asked[name] = Asked(drawn, counted(skipped), input.digests)
    if not any(one.problems for one in asked.values()):
        why = "; ".join(f"{name}: {reason}, {n}" for name, one in asked.items() for reason, n in one.skipped.items())
        raise UserError(f"no problem is left of config.annotate.sources {section.sources}: {why}")
    return asked, found.missing


def _reason(question: str, seen: Collection[str], solved: Collection[str], benchmarks: Index) -> str:
    if question in seen:
        return ASKED
    if question in solved:
        return SOLVED
    match = benchmarks.find(question)
    return f"a part of {match.problem.split('-')[0]}" if match else ""


def _problems(input: Input, skipped: collections.Counter[str]) -> Iterator[Problem]:
    source = input.source
    for key, row in input.rows():
        record = raw.record(source, key, row)
        if "dropped" in record:
            skipped[record["dropped"]] += 1
            continue
        draft = _draft(source, record["fields"])
        if draft is None or not draft.answer:
            skipped[NO_GOLD] += 1
            continue
        meta = {"row": key, "license": draft.license or source.license, "topic": draft.topic}
        yield Problem(f"{source.name}-{key}", f"{source.name}-train", draft.lang, draft.question, draft.answer, meta)


def _draft(source: Source, row: Row) -> Draft | None:
    """A draft of any mode, rather one with a gold: solutions don't matter."""
    found = None
    for convert in source.drafts.values():
        try:
            draft = convert(row)
        except Unusable:
            continue
        if draft is not None and draft.answer:
            return draft
        found = found or draft
    return found


def _drawn(problems: list[Problem], limit: int | None, seed: int) -> list[Problem]:
    """So many of them, in their order. A larger limit draws what a smaller one does, and more."""
    if limit is None:
        return problems
    ranks = sorted((hashlib.sha256(f"{seed} {problem.id}".encode()).digest(), problem.id) for problem in problems)
    drawn = {id for _, id in ranks[:limit]}
    return [problem for problem in problems if problem.id in drawn]
