"""Letting a model answer problems, with or without programs: a state machine over any generator of text.

Mode "cot" is one generation. Mode "pot" is one generation and its program, whose output is the answer. Mode "tool" is
up to `rounds` generations, each of which ends at the end token, at the output fence or at its length; in between,
programs run as the protocol has it (dsmath/rollout/protocols.py), and their output is appended. A program that ends the
last generation runs too; the model never sees its result.
"""

import concurrent.futures
import dataclasses
import itertools
import logging
import typing
from collections.abc import Container, Iterable, Iterator
from typing import Any

from dsmath.error import UserError
from dsmath.records import Exit, Ran, Source
from dsmath.rollout import programs
from dsmath.rollout.protocols import Program, Protocol, Turn
from dsmath.sandbox.client import Sandbox
from dsmath.text import template as templates
from dsmath.text.generator import Completion, Generator, Request, Sampling, Stop
from dsmath.text.template import OUTPUT_END, Template, Tokens
from dsmath.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

PAUSE_S = 0.001  # after a poll without news, if programs run: held sequences may be all that the generator has room for
TOO_LONG = "too_long"  # the stop of a trajectory whose prompt doesn't fit
TRIES = 3  # of a program, should the sandbox fail
MODES = ("cot", "tool", "pot")


class Problem(typing.Protocol):
    """What is asked; `dsmath.records.Problem` is one."""

    id: str
    suite: str
    lang: str
    question: str
    gold: str
    meta: dict[str, Any]


def rollout(
    problems: Iterable[Problem],
    generator: Generator,
    sandbox: Sandbox,
    *,
    tokenizer: Tokenizer,
    template: Template,
    sampling: Sampling,
    mode: str,
    protocol: Protocol,
    max_new: int,
    rounds: int,
    samples: int = 1,
    done: Container[tuple[str, int]] = (),
    in_flight: int = 64,
) -> Iterator[dict[str, Any]]:
    """A record per problem and sample, as soon as it is done; JSON values only.

    `max_new` is per generation, `rounds` counts in mode "tool" only. `done` are the (id, sample) that are left out. At
    most `in_flight` responses are begun and not done. While a program runs its sequence is held in the generator and
    others decode. A prompt that the generator refuses becomes a record with stop "too_long". Raises RuntimeError if the
    sandbox fails on a program TRIES times.
    """
    machine = _Machine(
        *(generator, sandbox, tokenizer, template, sampling, mode, protocol, max_new),
        rounds=rounds if mode == "tool" else 1,
    )
    pending = ((problem, i) for problem in problems for i in range(samples) if (problem.id, i) not in done)
    while True:
        for problem, sample in itertools.islice(pending, in_flight - machine.busy):
            machine.start(problem, sample)
        if machine.busy:
            machine.advance()
        if not machine.busy and not machine.finished:
            return
        yield from machine.take_finished()


@dataclasses.dataclass
class _Trajectory:
    """A problem on its way."""

    problem: Problem
    sample: int
    prompt: Tokens
    written: Tokens
    generations: int = 0
    stop: str = ""
    ran: list[tuple[str, Ran]] = dataclasses.field(default_factory=list)  # programs, and what they did
    shown: list[str] = dataclasses.field(default_factory=list)  # of each
    tool_spans: list[list[int]] = dataclasses.field(default_factory=list)  # where it stands in the response

    @property
    def id(self) -> str:
        """Of its requests, which decides on what is sampled."""
        return f"{self.problem.id}#{self.sample}" if self.sample else self.problem.id


@dataclasses.dataclass
class _Machine:
    """The state of a rollout. A trajectory is decoding, or its program is running, or it is finished."""

    generator: Generator
    sandbox: Sandbox
    tokenizer: Tokenizer
    template: Template
    sampling: Sampling
    mode: str
    protocol: Protocol
    max_new: int
    rounds: int
    decoding: dict[str, _Trajectory] = dataclasses.field(default_factory=dict)
    running: dict[concurrent.futures.Future[Ran], "_Running"] = dataclasses.field(default_factory=dict)
    finished: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @property
    def busy(self) -> int:
        """How many trajectories are not finished."""
        return len(self.decoding) + len(self.running)

    def take_finished(self) -> list[dict[str, Any]]:
        """The records that were finished since the last call."""
        finished, self.finished = self.finished, []
        return finished

    def start(self, problem: Problem, sample: int) -> None:
        """Submit a problem's prompt."""
        prompt = templates.prompt(
            problem.question,
            lang=problem.lang,
            mode=self.mode,
            template=self.template,
            tokenizer=self.tokenizer,
            instructions=self.protocol.instructions,
        )
        trajectory = _Trajectory(problem, sample, prompt, written=Tokens((), ()))
        try:
            self._generate(trajectory)
        except UserError as e:
            log.warning("%s: skipped, its prompt is too long: %s", problem.id, e)
            trajectory.stop = TOO_LONG
            self._finish(trajectory)

    def advance(self) -> None:
        """One dispatch of the generator, and what became of programs; waits for them only if there is nothing else."""
        completions = [] if self.generator.idle else self.generator.poll()
        for completion in completions:
            self._generated(self.decoding.pop(completion.id), completion)
        if completions or self.finished:
            timeout = 0
        elif self.generator.idle:
            timeout = None
        else:
            timeout = PAUSE_S
        ended = concurrent.futures.wait(self.running, timeout, concurrent.futures.FIRST_COMPLETED).done
        for future in ended:
            self._ended(self.running.pop(future), future.result())

    def _generate(self, trajectory: _Trajectory) -> None:
        request = Request(
            id=trajectory.id,
            ids=trajectory.prompt.ids + trajectory.written.ids,
            max_new=self.max_new,
            stop=self.protocol.stop if self.mode == "tool" else (),
            sampling=self.sampling,
            hold=trajectory.generations + 1 < self.rounds,
        )
        self.generator.submit(request)
        trajectory.generations += 1
        self.decoding[request.id] = trajectory

    def _generated(self, trajectory: _Trajectory, completion: Completion) -> None:
        trajectory.stop = completion.stop.value
        written = trajectory.written + self._by_model(*strip(completion, self.tokenizer))
        program = None
        if self.mode == "pot" and (code := programs.whole(completion.text)):
            program = Program(code)
        if self.mode == "tool":
            response = self._without_code(written, trajectory.tool_spans)
            turn = Turn(response, completion.text.rstrip(), completion.stop, trajectory.ran)
            if self.protocol.goes_on(turn):
                trajectory.written = written
                self._run_or_go_on(trajectory, self.protocol.program(turn))
                return
        if program is None:
            trajectory.written += self._by_model(completion.ids, completion.tail)
            self._finish(trajectory)
        else:
            trajectory.written = written
            self._run_or_go_on(trajectory, program)

    def _run_or_go_on(self, trajectory: _Trajectory, program: Program | None) -> None:
        if program is None:
            self._go_on(trajectory)
        elif self.protocol.refused and self.protocol.refused.search(program.code):
            self._ran(trajectory, program.code, programs.REFUSAL)
        else:
            self._submit(_Running(trajectory, program))

    def _submit(self, running: "_Running") -> None:
        running.tries += 1
        self.running[self.sandbox.submit(running.program.code, replay=running.program.replay)] = running

    def _ended(self, running: "_Running", ran: Ran) -> None:
        if ran.exit is not Exit.SANDBOX:
            self._ran(running.trajectory, running.program.code, ran)
        elif running.tries < TRIES:
            self._submit(running)
        else:
            id, reason = running.trajectory.problem.id, ran.stderr.strip()
            raise RuntimeError(f"the sandbox failed {TRIES} times on a program of {id}: {reason!r}")

    def _ran(self, trajectory: _Trajectory, code: str, ran: Ran) -> None:
        shown = self.protocol.shown(ran, self.tokenizer).strip()
        pieces = templates.output(shown, asked=trajectory.stop == Stop.TEXT)
        trajectory.written += templates.encode(pieces, self.tokenizer)
        end = len(self.tokenizer.decode(trajectory.written.ids)) - len(OUTPUT_END)
        trajectory.tool_spans.append([end - len(shown), end])
        trajectory.ran.append((code, ran))
        trajectory.shown.append(shown)
        self._go_on(trajectory)

    def _without_code(self, written: Tokens, tool_spans: list[list[int]]) -> str:
        """A response so far, in which what programs printed holds no code."""
        response, pieces, at = self.tokenizer.decode(written.ids), [], 0
        for start, end in tool_spans:
            pieces += [response[at:start], programs.without_code(response[start:end])]
            at = end
        return "".join([*pieces, response[at:]])

    def _go_on(self, trajectory: _Trajectory) -> None:
        if trajectory.generations == self.rounds:
            self._finish(trajectory)
            return
        try:
            self._generate(trajectory)
        except UserError as e:
            log.warning("%s: ended after %d generations: %s", trajectory.problem.id, trajectory.generations, e)
            self._finish(trajectory)

    def _by_model(self, ids: tuple[int, ...], tail: str) -> Tokens:
        ids += self.tokenizer.encode(tail)
        return Tokens(ids, (Source.MODEL,) * len(ids))

    def _finish(self, trajectory: _Trajectory) -> None:
        problem, prompt, written = trajectory.problem, trajectory.prompt, trajectory.written
        if 0 < trajectory.generations < self.rounds:  # its last request asked to hold
            self.generator.release(trajectory.id)
        self.finished.append(
            {
                "id": problem.id,
                "sample": trajectory.sample,
                "suite": problem.suite,
                "mode": self.mode,
                "lang": problem.lang,
                "question": problem.question,
                "gold": problem.gold,
                "meta": problem.meta,
                "prompt": self.tokenizer.decode(prompt.ids),
                "response": self.tokenizer.decode(written.ids),
                "ids": [*prompt.ids, *written.ids],
                "sources": [int(source) for source in prompt.sources + written.sources],
                "stop": trajectory.stop,
                "programs": [
                    {"code": code} | dataclasses.asdict(ran) | {"exit": ran.exit.value, "shown": shown}
                    for (code, ran), shown in zip(trajectory.ran, trajectory.shown, strict=True)
                ],
                "tool_spans": trajectory.tool_spans,  # [start, end) in the response, of what programs wrote
                "seed": self.sampling.seed,
                "protocol": self.protocol.name,
            }
        )


@dataclasses.dataclass
class _Running:
    """A program in the sandbox."""

    trajectory: _Trajectory
    program: Program
    tries: int = 0


def strip(completion: Completion, tokenizer: Tokenizer) -> tuple[tuple[int, ...], str]:
    """A completion without the end token and the white space before it: the tokens that stay, and the text after them.

    Tokens are dropped, never made anew; only where the text ends inside one is there text after them.
    """
    text = completion.text.rstrip()
    ids = completion.ids[:-1] if completion.stop is Stop.END else completion.ids
    if text == completion.text:
        return ids, completion.tail
    while not text.startswith(whole := tokenizer.decode(ids)):
        ids = ids[:-1]
    return ids, text[len(whole) :]
