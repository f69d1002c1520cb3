"""Letting a model answer problems, with or without programs: a state machine over any generator of text.

Mode "cot" is one generation. Mode "pot" is one generation and its program, whose output is the answer; a setup may have
a problem whose program fails asked again, for a chain of thought. Mode "tool" is up to `rounds` generations, each of
which ends at the end token, where the template has a program asked for, or at its length; in between, programs run as
the protocol has it (dsmath/rollout/protocols.py), and their output is appended. A program that ends the last generation
runs too; the model never sees its result.
"""

import concurrent.futures
import dataclasses
import itertools
import logging
import time
from collections.abc import Container, Iterable, Iterator

from dsmath.error import UserError
from dsmath.records import (
    COT,
    POT,
    TOOL,
    UNANSWERED,
    Attempt,
    Exit,
    Piece,
    Problem,
    Program,
    Ran,
    Source,
    Stop,
    Trajectory,
    Usage,
)
from dsmath.rollout import programs
from dsmath.rollout.protocols import Call, Protocol, Turn
from dsmath.sandbox.client import Sandbox
from dsmath.text.generator import Completion, Generator, Request, Sampling
from dsmath.text.template import Special, Template

log = logging.getLogger(__name__)

PAUSE_S = 0.001  # after a poll without news, if programs run: held sequences may be all that the generator has room for
TRIES = 3  # of a program, should the sandbox fail
ELSEWHERE = {"level": "server"}  # in place of a sandbox's level: a server ran the programs


@dataclasses.dataclass(frozen=True)
class Setup:
    """How responses are sampled; all that a trajectory says of how it came about."""

    template: Template
    protocol: Protocol
    mode: str  # of records.MODES
    sampling: Sampling
    max_new: int  # tokens per generation
    rounds: int  # generations per response, in mode "tool" alone
    samples: int  # per problem
    checkpoint: str  # with the fingerprint of its weights
    step: int  # of training
    otherwise: Template | None = None  # in mode "pot": how one is asked again whose program fails or prints nothing


def rollout(
    problems: Iterable[Problem],
    generator: Generator,
    sandbox: Sandbox,
    setup: Setup,
    *,
    done: Container[tuple[str, int]] = (),
    in_flight: int = 64,
) -> Iterator[Trajectory]:
    """A trajectory per problem and sample, as soon as it is done.

    `done` are the (id, sample) that are left out. At most `in_flight` responses are begun and not done. While a program
    runs its sequence is held in the generator and others decode. A prompt that the generator refuses becomes a
    trajectory with Stop.TOO_LONG. Raises RuntimeError if the sandbox fails on a program TRIES times.
    """
    machine = _Machine(generator, sandbox, setup, rounds=setup.rounds if setup.mode == TOOL else 1)
    pending = ((problem, i) for problem in problems for i in range(setup.samples) if (problem.id, i) not in done)
    while True:
        for problem, sample in itertools.islice(pending, in_flight - machine.busy):
            machine.start(problem, sample)
        if machine.busy:
            machine.advance()
        if not machine.busy and not machine.finished:
            return
        yield from machine.take_finished()


@dataclasses.dataclass
class _Response:
    """A response on its way."""

    problem: Problem
    sample: int
    template: Template
    prompt: Piece
    attempts: list[Attempt] = dataclasses.field(default_factory=list)
    pieces: list[Piece] = dataclasses.field(default_factory=list)
    generations: int = 0
    stop: Stop = Stop.TOO_LONG
    programs: list[Program] = dataclasses.field(default_factory=list)
    put_backs: int = 0
    usage: Usage | None = None
    reason: str = ""

    @property
    def id(self) -> str:
        """Of its requests, which decides on what is sampled."""
        id = f"{self.problem.id}#{self.sample}" if self.sample else self.problem.id
        return id + "~" * len(self.attempts)


@dataclasses.dataclass
class _Running:
    """A program in the sandbox."""

    response: _Response
    call: Call
    tries: int = 0


@dataclasses.dataclass
class _Machine:
    """The state of a rollout. A response is decoding, or its program is running, or it is finished."""

    generator: Generator
    sandbox: Sandbox
    setup: Setup
    rounds: int
    decoding: dict[str, _Response] = dataclasses.field(default_factory=dict)
    running: dict[concurrent.futures.Future[Ran], _Running] = dataclasses.field(default_factory=dict)
    finished: list[Trajectory] = dataclasses.field(default_factory=list)
    clock: float = dataclasses.field(default_factory=time.monotonic)  # when the last trajectory was finished
    waited_s: float = 0.0  # since then, for programs alone

    @property
    def busy(self) -> int:
        """How many responses are not finished."""
        return len(self.decoding) + len(self.running)

    def take_finished(self) -> list[Trajectory]:
        """The trajectories that were finished since the last call."""
        finished, self.finished = self.finished, []
        return finished

    def start(self, problem: Problem, sample: int) -> None:
        """Submit a problem's prompt."""
        template = self.setup.template
        self._ask(_Response(problem, sample, template, self._prompt(template, problem, self.setup.mode)))

    def _prompt(self, template: Template, problem: Problem, mode: str) -> Piece:
        return self.generator.codec.encode(
            Source.PROMPT, template.prompt(problem.question, lang=problem.lang, mode=mode)
        )

    def _ask(self, response: _Response) -> None:
        try:
            self._generate(response)
        except UserError as e:
            log.warning("%s: skipped, its prompt is too long: %s", response.problem.id, e)
            self._finish(response)

    def advance(self) -> None:
        """One dispatch of the generator, and what became of programs; waits for them only if there is nothing else."""
        completions = [] if self.generator.idle else self.generator.poll()
        for completion in completions:
            self._generated(self.decoding.pop(completion.id), completion)
        if completions or self.finished:
            timeout = 0.0
        elif self.generator.idle:
            timeout = None
        else:
            timeout = PAUSE_S
        begun = time.monotonic()
        ended = concurrent.futures.wait(self.running, timeout, concurrent.futures.FIRST_COMPLETED).done
        if self.generator.idle:
            self.waited_s += time.monotonic() - begun
        for future in ended:
            self._ended(self.running.pop(future), future.result())

    def _generate(self, response: _Response) -> None:
        template = response.template
        request = Request(
            id=response.id,
            pieces=(response.prompt, *response.pieces),
            max_new=self.setup.max_new,
            stop=template.stops if self.setup.mode == TOOL else (),
            ends=template.ends if template.end is None else (*template.ends, Special(template.end)),
            sampling=self.setup.sampling,
            hold=response.generations + 1 < self.rounds,
        )
        self.generator.submit(request)
        response.generations += 1
        self.decoding[request.id] = response

    def _generated(self, response: _Response, completion: Completion) -> None:
        response.stop = completion.stop
        response.put_backs += completion.put_backs
        if completion.usage is not None:
            response.usage = completion.usage if response.usage is None else response.usage + completion.usage
        response.reason = completion.reason
        response.programs.extend(completion.programs)
        for piece in completion.before:
            self._write(response, piece)
        stripped = self.generator.codec.cut(completion.piece, len(completion.piece.text.rstrip()))
        if completion.stop in UNANSWERED:
            if completion.piece.text:
                self._write(response, completion.piece)
            self._finish(response)
        elif self.setup.mode == POT and not response.attempts:
            self._write(response, stripped)
            self._run_whole(response, self.setup.protocol.whole(completion.piece.text))
        elif self.setup.mode == TOOL and self.setup.protocol.goes_on(turn := self._turn(response, completion)):
            self._write(response, stripped)
            self._run_or_go_on(response, self.setup.protocol.program(turn))
        else:
            piece = completion.piece
            self._write(response, dataclasses.replace(piece, ids=None if piece.ids is None else completion.ids))
            self._finish(response)

    def _run_whole(self, response: _Response, code: str | None) -> None:
        if code is not None:
            self._submit(_Running(response, Call(code)))
        elif self.setup.otherwise is not None:
            self._ask_otherwise(response, self.setup.otherwise)
        else:
            self._finish(response)

    def _ask_otherwise(self, response: _Response, template: Template) -> None:
        """Begin anew, for a chain of thought."""
        response.attempts.append(Attempt(response.prompt, tuple(response.pieces), response.stop))
        response.template, response.prompt = template, self._prompt(template, response.problem, COT)
        response.pieces.clear()
        response.generations, response.stop = 0, Stop.TOO_LONG  # until something is generated
        self._ask(response)

    def _turn(self, response: _Response, completion: Completion) -> Turn:
        before = [
            programs.without_code(piece.text) if piece.source is Source.TOOL else piece.text
            for piece in response.pieces
        ]
        generation = completion.piece.text.rstrip()
        ran = [(program.code, program.ran) for program in response.programs]
        return Turn("".join([*before, generation]), generation, completion.stop, ran)

    def _write(self, response: _Response, piece: Piece) -> None:
        """Append what was written; what the model wrote on end is one piece."""
        if response.pieces and piece.source is response.pieces[-1].source is Source.MODEL:
            piece = self.generator.codec.join(response.pieces.pop(), piece)
        response.pieces.append(piece)

    def _run_or_go_on(self, response: _Response, call: Call | None) -> None:
        refused = self.setup.protocol.refused
        if call is None:
            self._go_on(response)
        elif refused and refused.search(call.code):
            self._ran(response, call.code, programs.REFUSAL)
        else:
            self._submit(_Running(response, call))

    def _submit(self, running: _Running) -> None:
        running.tries += 1
        call = running.call
        self.running[self.sandbox.submit(call.code, replay=call.replay, value=call.value)] = running

    def _ended(self, running: _Running, ran: Ran) -> None:
        if ran.exit is not Exit.SANDBOX:
            self._ran(running.response, running.call.code, ran)
        elif running.tries < TRIES:
            self._submit(running)
        else:
            id, reason = running.response.problem.id, ran.stderr.strip()
            raise RuntimeError(f"the sandbox failed {TRIES} times on a program of {id}: {reason!r}")

    def _ran(self, response: _Response, code: str, ran: Ran) -> None:
        codec = self.generator.codec
        shown = self.setup.protocol.shown(ran, codec.clip).strip()
        for source, parts in response.template.output(shown, asked=response.stop is Stop.TEXT):
            if parts:
                response.pieces.append(codec.encode(source, parts))
        response.programs.append(Program(code, ran, shown))
        if self.setup.mode == POT and self.setup.otherwise and not (ran.exit is Exit.OK and ran.stdout.strip()):
            self._ask_otherwise(response, self.setup.otherwise)
        else:
            self._go_on(response)

    def _go_on(self, response: _Response) -> None:
        if response.generations == self.rounds:
            self._finish(response)
            return
        try:
            self._generate(response)
        except UserError as e:
            log.warning("%s: ended after %d generations: %s", response.problem.id, response.generations, e)
            self._finish(response)

    def _finish(self, response: _Response) -> None:
        if 0 < response.generations < self.rounds:  # its last request asked to hold
            self.generator.release(response.id)
        now = time.monotonic()
        trajectory = Trajectory(
            problem=response.problem,
            sample=response.sample,
            mode=self.setup.mode,
            prompt=response.prompt,
            response=tuple(response.pieces),
            stop=response.stop,
            programs=tuple(response.programs),
            seed=self.setup.sampling.seed,
            protocol=self.setup.protocol.name,
            checkpoint=self.setup.checkpoint,
            step=self.setup.step,
            sandbox=ELSEWHERE if self.setup.protocol.elsewhere else self.sandbox.level,
            elapsed_s=now - self.clock,
            waited_s=self.waited_s,
            put_backs=response.put_backs,
            pool_use=self.generator.pool_use,
            attempts=tuple(response.attempts),
            usage=response.usage,
            reason=response.reason,
        )
        self.clock, self.waited_s = now, 0.0
        self.finished.append(trajectory)
