"""The stage that makes examples: rows become drafts, drafts are replayed, and what their gold refutes is dropped.

A draft is replayed through the very loop of model and program that evaluates (dsmath/rollout), with its turns in the
place of a model's, so that an example holds to the byte what an evaluation would have held had a model written it:
programs run in the sandbox, and their output is cut and framed as the reference protocol does.
"""

import collections
import dataclasses
from collections.abc import Iterator, Sequence

from dsmath.answers import compare
from dsmath.data.source import Draft, Source, Unusable
from dsmath.data.stages.shards import Record
from dsmath.records import POT, TOOL, Answer, Example, Exit, Piece, Problem, Stop, Trajectory
from dsmath.records import Source as Writer
from dsmath.rollout import protocols
from dsmath.rollout.rollout import Setup, rollout
from dsmath.sandbox.client import Sandbox
from dsmath.score.graded import graded_text
from dsmath.score.strict import extraction
from dsmath.text import template as templates
from dsmath.text.codec import Codec
from dsmath.text.generator import Completion, Request, Sampling
from dsmath.text.template import Part, Special

PROTOCOL = "reference"
LONGEST = 20_000  # characters of an example: more fit no row of 4,096 tokens, and reading an answer may take long
GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=None, seed=0)


def examples(source: Source, rows: Iterator[Record], modes: Sequence[str], sandbox: Sandbox) -> Iterator[Record]:
    """For each row and mode, in their order, {"id", "mode", "example"}, or {"id", "mode", "dropped"} and why."""
    records: list[Record] = []
    drafts: dict[str, dict[str, Draft]] = {mode: {} for mode in modes}
    for row in rows:
        if "fields" not in row:
            continue
        for mode in modes:
            record = {"id": f"{source.name}-{row['row']}-{mode}", "mode": mode, "row": row["row"]}
            try:
                draft = source.drafts[mode](row["fields"])
            except Unusable as e:
                records.append(record | {"dropped": str(e), "question": next(iter(row["fields"].values()))})
                continue
            if draft is None:
                continue
            if sum(map(len, (draft.question, *draft.turns))) > LONGEST:
                records.append(record | {"dropped": f"more than {LONGEST} characters", "question": draft.question})
            else:
                drafts[mode][record["id"]] = draft
                records.append(record)
    replayed = {mode: dict(replay(drafts[mode], mode, sandbox)) for mode in modes}
    for record in records:
        mode = record["mode"]
        if "dropped" in record:
            yield record
        else:
            yield record | _judged(source, record, drafts[mode][record["id"]], replayed[mode].pop(record["id"]))


def replay(drafts: dict[str, Draft], mode: str, sandbox: Sandbox) -> Iterator[tuple[str, Trajectory]]:
    """The trajectories of a model that writes these drafts, by their ids, as they are done."""
    setup = Setup(
        template=templates.find("reference"),
        protocol=protocols.find(PROTOCOL),
        mode=mode,
        sampling=GREEDY,
        max_new=1,
        rounds=max((len(draft.turns) for draft in drafts.values()), default=1),
        samples=1,
        checkpoint="replay",
        step=0,
    )
    problems = (Problem(id, "", draft.lang, draft.question, draft.answer or "", {}) for id, draft in drafts.items())
    for trajectory in rollout(problems, Replay({id: d.turns for id, d in drafts.items()}), sandbox, setup):
        yield trajectory.problem.id, trajectory


def _judged(source: Source, record: Record, draft: Draft, trajectory: Trajectory) -> Record:
    """The example of a replayed draft, or why there is none."""
    reason, answer = verdict(draft, trajectory)
    if reason:
        ran = [{"code": p.code, "exit": p.ran.exit.value, "shown": p.shown} for p in trajectory.programs]
        return {"dropped": reason, "draft": dataclasses.asdict(draft), "programs": ran}
    # What follows the program that is the answer is nobody's to learn: the model has ended its turn by then.
    solution = trajectory.response[:1] if trajectory.mode == POT else trajectory.response
    example = Example(
        id=record["id"],
        source=source.name,
        lang=draft.lang,
        mode=trajectory.mode,
        question=draft.question,
        solution=solution,
        answer=answer,
        row=record["row"],
        license=draft.license or source.license,
        topic=draft.topic,
    )
    return {"example": example.to_json(), "gold": draft.answer is not None}


def verdict(draft: Draft, trajectory: Trajectory) -> tuple[str, str]:
    """Why a draft is dropped, "" if it isn't; and its answer."""
    try:
        return _verdict(draft, trajectory)
    except RecursionError:
        return "the answer is nested too deep", ""


def _verdict(draft: Draft, trajectory: Trajectory) -> tuple[str, str]:
    if reason := fault(trajectory, len(draft.turns)):
        return reason, ""
    said = extraction.extract("", draft.question, graded_text(trajectory))
    if not said:
        return "no answer", ""
    gold: Answer = draft.answer if draft.answer is not None else said
    if not compare.same(said, gold, draft.question):
        return "the answer is another one" if trajectory.mode != POT else "the program prints another answer", ""
    if trajectory.mode == TOOL and not _prints(trajectory.programs[-1].ran.stdout, gold, draft.question):
        return "the program prints another answer", ""
    return "", gold if isinstance(gold, str) else ", ".join(gold)


def fault(trajectory: Trajectory, turns: int) -> str:
    """What of its programs rules out a solution of so many turns, whatever it answers; "" if nothing does."""
    wanted = {TOOL: turns - 1, POT: 1}.get(trajectory.mode, 0)
    for program in trajectory.programs:
        if program.ran.exit is not Exit.OK:
            return f"a program ended in {program.ran.exit}"
        if not program.ran.stdout.strip():
            return "a program prints nothing"
    return "no program to run" if len(trajectory.programs) != wanted or (trajectory.mode == TOOL and not wanted) else ""


def _prints(stdout: str, gold: Answer, question: str) -> bool:
    """Whether an output is the answer, or ends in it."""
    printed = stdout.strip()
    last = printed.rpartition("\n")[2]
    found = extraction.extract("", question, printed)
    return any(compare.same(text, gold, question) for text in dict.fromkeys((printed, last)) if text) or bool(
        found and compare.same(found, gold, question)
    )


class Replay:
    """A `Generator` that writes given turns: each ends where a model asks for output, the last one where it is done."""

    pool_use: float | None = None

    def __init__(self, turns: dict[str, tuple[str, ...]]):
        self.codec: Codec = TextCodec()
        self._turns = {id: collections.deque(texts) for id, texts in turns.items()}
        self._ready: list[Completion] = []

    def submit(self, request: Request) -> None:
        """Have the next turn ready."""
        turns = self._turns[request.id]
        text = turns.popleft()
        self._ready.append(Completion(request.id, Piece(Writer.MODEL, text), (), Stop.TEXT if turns else Stop.END))

    def poll(self) -> list[Completion]:
        """The turns that were asked for."""
        ready, self._ready = self._ready, []
        return ready

    def release(self, id: str) -> None:
        """Nothing is held."""

    @property
    def idle(self) -> bool:
        """Whether no turn was asked for."""
        return not self._ready


class TextCodec:
    """A `Codec` that knows text alone."""

    def encode(self, source: Writer, parts: Sequence[Part]) -> Piece:
        """The texts in a row."""
        return Piece(source, "".join(part.name if isinstance(part, Special) else part for part in parts))

    def cut(self, piece: Piece, length: int) -> Piece:
        """The first `length` characters."""
        return Piece(piece.source, piece.text[:length])

    def join(self, first: Piece, second: Piece) -> Piece:
        """Both texts."""
        return Piece(first.source, first.text + second.text)

    def clip(self, text: str, tokens: int) -> str:
        """All of it: what is clipped are errors, and no example has one."""
        return text
