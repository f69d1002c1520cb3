"""From a journal of samples to the solutions that are kept: right ones that a preparation accepts, and what the others
fell by.

    trajectories -> judged: graded, their programs looked at -> chosen: at most so many different ones per problem

A preparation runs programs again by the protocol `reference`: what was sampled by it is prepared as it was sampled, to
the byte; what another protocol let pass may fall there.
"""

import collections
import dataclasses
import itertools
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

from dsmath.data.source import Draft
from dsmath.data.stages import choice, verify
from dsmath.data.stages.shards import Record, counted
from dsmath.records import POT, Problem, Source, Stop, Trajectory, Verdict
from dsmath.score.counts.statistics import accuracy
from dsmath.score.graded import graded_text
from dsmath.score.graders import Grading, Item
from dsmath.text.template import Template, written

GRADER = "strict"
BATCH = 1024  # trajectories in memory at a time


@dataclasses.dataclass(frozen=True)
class Response:
    """A sample, and what became of it."""

    problem: Problem
    sample: int
    mode: str
    checkpoint: str
    correct: bool  # as the grader has it
    fell: str  # why it isn't kept; "" if it is
    tokens: int | None  # by the model
    turns: tuple[str, ...] = ()  # what the model wrote, of one that may be kept
    alike: Hashable = None  # equal for solutions of which one is enough

    @property
    def kept(self) -> bool:
        """Whether it is a solution to train on."""
        return not self.fell


def judged(trajectories: Iterable[Trajectory], template: Template, grading: Grading) -> Iterator[Response]:
    """What of each trajectory is to be said before those of its problem are compared, in their order. `template` is
    the one that they were sampled with.
    """
    left, problems = iter(trajectories), dict[str, Problem]()  # one record of each, whatever the samples
    while batch := list(itertools.islice(left, BATCH)):
        items = [Item(t.problem.suite, t.problem.question, t.problem.gold, graded_text(t)) for t in batch]
        for trajectory, verdict in zip(batch, grading.grade_all(items, grader=GRADER), strict=True):
            problem = problems.setdefault(trajectory.problem.id, trajectory.problem)
            yield dataclasses.replace(_judged(trajectory, template, verdict), problem=problem)


def chosen(problems: Sequence[Problem], responses: Iterable[Response], keep: int) -> list[Response]:
    """Of each problem's right solutions at most `keep` different ones stay; the others fall.

    Responses come in any order, and go out in that of the problems, then of the samples.
    """
    groups: dict[str, list[Response]] = {problem.id: [] for problem in problems}
    for response in responses:
        groups[response.problem.id].append(response)
    out = []
    for group in groups.values():
        group.sort(key=lambda response: response.sample)
        fates = iter(choice.fates([response.alike for response in group if response.kept], keep))
        out += [dataclasses.replace(r, fell=next(fates)) if r.kept else r for r in group]
    return out


def line(response: Response, source: str) -> Record:
    """A kept solution as a line of annotated.jsonl; dsmath/data/sources/annotated.py has its fields."""
    problem = response.problem
    return {
        "question": problem.question,
        "lang": problem.lang,
        "answer": problem.gold,
        "turns": list(response.turns),
        "mode": response.mode,
        "source": source,
        "row": problem.meta["row"],
        "checkpoint": response.checkpoint,
        "sample": response.sample,
        "license": problem.meta["license"],
        "topic": problem.meta["topic"],
    }


def figures(responses: Sequence[Response]) -> dict[str, Any]:
    """What samples come to, one at least: problems, samples, correct ones with their share and its interval in percent,
    solved problems (of which a solution is kept), solutions that are kept, different ones, what the others fell by,
    tokens (None where a generator didn't tell them).
    """
    problems = [response.problem.id for response in responses]
    share = accuracy(problems, [response.correct for response in responses])
    tokens = [response.tokens for response in responses]
    known = [count for count in tokens if count is not None]
    return {
        "problems": len(set(problems)),
        "samples": len(responses),
        **{name: share[name] for name in ("correct", "accuracy", "interval")},
        "solved": len({response.problem.id for response in responses if response.kept}),
        "kept": sum(response.kept for response in responses),
        "different": sum(response.fell in ("", choice.BEYOND) for response in responses),
        "fell": counted(collections.Counter(response.fell for response in responses if response.fell)),
        "tokens": sum(known) if len(known) == len(tokens) else None,
    }


def _judged(trajectory: Trajectory, template: Template, verdict: Verdict) -> Response:
    written = turns(trajectory, template)
    fell = _cut(trajectory, written) or verify.fault(trajectory, len(written)) or _wrong(trajectory, verdict, written)
    response = Response(
        trajectory.problem,
        trajectory.sample,
        trajectory.mode,
        trajectory.checkpoint,
        verdict.correct,
        fell,
        trajectory.generated_tokens,
    )
    return response if fell else dataclasses.replace(response, turns=written, alike=choice.likeness(trajectory))


def turns(trajectory: Trajectory, template: Template) -> tuple[str, ...]:
    """What the model wrote between programs' outputs, without its asking for them; () where the loop asked instead.

    What the template leads an answer in with is left out: training puts it before a solution.
    """
    texts = [""]
    for piece in trajectory.response:
        if piece.source is Source.MODEL:
            texts[-1] += piece.text
        elif piece.source is Source.TOOL:
            texts.append("")
    texts[0] = texts[0].removeprefix(template.lead)
    if trajectory.mode == POT:  # its only program is asked for by nobody
        return (texts[0],)
    *asking, last = texts
    asks = written(template.asks)
    if not all(text.endswith(asks) for text in asking):
        return ()
    return (*(text.removesuffix(asks) for text in asking), last)


def _cut(trajectory: Trajectory, written: Sequence[str]) -> str:
    """Why it isn't whole, "" if it is."""
    if trajectory.stop is Stop.TOO_LONG:
        return "the prompt is too long"
    if trajectory.stop is Stop.LENGTH or not written:
        return "cut at its length"
    return "no end after the last program" if trajectory.stop is Stop.TEXT else ""


def _wrong(trajectory: Trajectory, verdict: Verdict, written: tuple[str, ...]) -> str:
    """Why its answer isn't the gold, "" if it is: as the grader has it, then as a preparation will."""
    if not verdict.correct:
        known = {"no answer": "no answer", "different": "the answer is another one"}
        return known.get(verdict.reason, "not graded in time")
    problem = trajectory.problem
    reason, _ = verify.verdict(Draft(problem.lang, problem.question, written, problem.gold), trajectory)
    return reason
