"""Letting a model answer problems, with or without programs: a state machine over any generator of text.

Mode "cot" is one generation. Mode "tool" is the loop of the DeepSeekMath authors' evaluation code: up to `rounds`
generations, each of which ends at the end token, at the output fence or at its length. Only the end token finishes a
response; after anything else white space is stripped, the program of the response runs if it ends with one, the result
is appended, and the next generation goes on from there. A program that ends the last generation runs too; the model
never sees its result.
"""

import concurrent.futures
import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from dsmath.error import UserError
from dsmath.text import template as templates
from dsmath.text.generation import Completion, Generator, Request, Sampling, Stop
from dsmath.text.source import Source, Tokens
from dsmath.text.template import OUTPUT_FENCE, Template
from dsmath.text.tokenizer import Tokenizer
from dsmath.tool import programs
from dsmath.tool.sandbox import Exit, Ran, Sandbox

log = logging.getLogger(__name__)

PAUSE_S = 0.001  # after a poll without news, if programs run: held sequences may be all that the generator has room for
TOO_LONG = "too_long"  # the stop of a trajectory whose prompt doesn't fit


class Problem(Protocol):
    """What is asked; `dsmath.data.example.Problem` is one."""

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
    max_new: int,
    rounds: int,
    in_flight: int = 64,
) -> Iterator[dict[str, Any]]:
    """A record per problem, as soon as it is done; JSON values only.

    `max_new` is per generation, `rounds` counts in mode "tool" only. At most `in_flight` problems are taken from
    `problems` before they are done. While a program runs its sequence is held in the generator and others decode.
    A prompt that the generator refuses becomes a record with stop "too_long". Raises RuntimeError if the sandbox fails.
    """
    machine = _Machine(
        generator, sandbox, tokenizer, template, sampling, mode, max_new, rounds if mode == "tool" else 1
    )
    problems = iter(problems)
    while True:
        for problem in itertools.islice(problems, in_flight - machine.busy):
            machine.start(problem)
        if machine.busy:
            machine.advance()
        if not machine.busy and not machine.finished:
            return
        yield from machine.take_finished()


@dataclasses.dataclass
class _Trajectory:
    """A problem on its way."""

    problem: Problem
    prompt: Tokens
    written: Tokens
    generations: int = 0
    stop: str = ""
    programs: list[dict[str, Any]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _Machine:
    """The state of a rollout. A trajectory is decoding, or its program is running, or it is finished."""

    generator: Generator
    sandbox: Sandbox
    tokenizer: Tokenizer
    template: Template
    sampling: Sampling
    mode: str
    max_new: int
    rounds: int
    decoding: dict[str, _Trajectory] = dataclasses.field(default_factory=dict)
    running: dict[concurrent.futures.Future[Ran], tuple[_Trajectory, str]] = dataclasses.field(default_factory=dict)
    finished: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @property
    def busy(self) -> int:
        """How many trajectories are not finished."""
        return len(self.decoding) + len(self.running)

    def take_finished(self) -> list[dict[str, Any]]:
        """The records that were finished since the last call."""
        finished, self.finished = self.finished, []
        return finished

    def start(self, problem: Problem) -> None:
        """Submit a problem's prompt."""
        prompt = templates.prompt(
            problem.question, lang=problem.lang, mode=self.mode, template=self.template, tokenizer=self.tokenizer
        )
        trajectory = _Trajectory(problem, prompt, written=Tokens((), ()))
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
            trajectory, code = self.running.pop(future)
            self._ran(trajectory, code, future.result())

    def _generate(self, trajectory: _Trajectory) -> None:
        request = Request(
            id=trajectory.problem.id,
            ids=trajectory.prompt.ids + trajectory.written.ids,
            max_new=self.max_new,
            stop=(OUTPUT_FENCE,) if self.mode == "tool" else (),
            sampling=self.sampling,
            hold=trajectory.generations + 1 < self.rounds,
        )
        self.generator.submit(request)
        trajectory.generations += 1
        self.decoding[request.id] = trajectory

    def _generated(self, trajectory: _Trajectory, completion: Completion) -> None:
        trajectory.stop = completion.stop.value
        if completion.stop is Stop.END or self.mode == "cot":
            trajectory.written += self._by_model(completion.ids, completion.tail)
            self._finish(trajectory)
            return
        trajectory.written += self._by_model(*strip(completion, self.tokenizer))
        code = programs.program(self.tokenizer.decode(trajectory.written.ids))
        if code is None:
            self._go_on(trajectory)
        elif programs.REFUSED.search(code):
            self._ran(trajectory, code, programs.REFUSAL)
        else:
            self.running[self.sandbox.submit(code)] = trajectory, code

    def _ran(self, trajectory: _Trajectory, code: str, ran: Ran) -> None:
        if ran.exit is Exit.SANDBOX:
            raise RuntimeError(f"the sandbox failed on a program of {trajectory.problem.id}: {ran.stderr.strip()!r}")
        shown = programs.shown(ran, self.tokenizer)
        pieces = templates.output(shown, asked=trajectory.stop == Stop.TEXT)
        trajectory.written += templates.encode(pieces, self.tokenizer)
        trajectory.programs.append({"code": code} | dataclasses.asdict(ran) | {"exit": ran.exit.value, "shown": shown})
        self._go_on(trajectory)

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
            self.generator.release(problem.id)
        self.finished.append(
            {
                "id": problem.id,
                "sample": 0,
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
                "programs": trajectory.programs,
                "seed": self.sampling.seed,
                "protocol": "reference",
            }
        )


def strip(completion: Completion, tokenizer: Tokenizer) -> tuple[tuple[int, ...], str]:
    """A completion without the white space at its end: the tokens that stay, and the text after them.

    Tokens are dropped, never made anew; only where the text ends inside one is there text after them.
    """
    text = completion.text.rstrip()
    if text == completion.text:
        return completion.ids, completion.tail
    ids = completion.ids
    while not text.startswith(whole := tokenizer.decode(ids)):
        ids = ids[:-1]
    return ids, text[len(whole) :]
