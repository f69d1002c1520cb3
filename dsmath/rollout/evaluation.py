"""The evaluation of a suite: what its journal lacks is rolled out, then the journal is scored.

The journal pins all that its figures depend on, so that the same command goes on where it was, and another one is
refused instead of mixed in.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from dsmath import config, journal, runs
from dsmath.error import UserError
from dsmath.records import MODES, Problem, Trajectory
from dsmath.rollout import protocols
from dsmath.rollout.protocols import Protocol
from dsmath.rollout.rollout import Setup, rollout
from dsmath.sandbox.client import Sandbox
from dsmath.text.generator import Generator, Sampling
from dsmath.text.template import Template

Track = Callable[[Iterable[Trajectory], str, int, int], Iterator[Trajectory]]  # what, of how many, how many are done

# Limits of programs decide what a response holds; how many run at a time and what is required around them do not.
LIMITS = ("timeout_s", "memory_mb", "output_kb")


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is evaluated: a model that is ready to generate, and how it is talked to."""

    generator: Generator
    template: Template
    name: str  # with the fingerprint of its weights
    step: int  # of training; 0 for the weights that it starts from
    facts: dict[str, Any]  # what else decides on its answers, such as architecture, tokenizer, type: JSON values


def with_budgets(settings: config.Eval) -> config.Eval:
    """Evaluation settings, checked, with the protocol's own values where none are given. Raises UserError."""
    for mode in settings.modes:
        if mode not in MODES:
            raise UserError(f"config.eval.modes has {mode!r}; expected one of: {', '.join(MODES)}")
    protocol = protocols.find(settings.protocol)
    return dataclasses.replace(
        settings,
        max_new=settings.max_new or protocol.max_new,
        rounds=settings.rounds or protocol.rounds,
        grader=settings.grader or protocol.grader,
    )


def limits_of(settings: config.Eval, limits: config.Sandbox) -> config.Sandbox:
    """The limits of programs, with the protocol's own time where none is given."""
    protocol = protocols.find(settings.protocol)
    return dataclasses.replace(limits, timeout_s=limits.timeout_s or protocol.timeout_s)


def sample(
    problems: Sequence[Problem],
    mode: str,
    run: runs.Run,
    subject: Subject,
    sandbox: Sandbox,
    settings: config.Eval,
    *,
    seed: int,
    track: Track,
) -> runs.Evaluation:
    """Roll out what the journal of an evaluation lacks. `settings` are those of `with_budgets`.

    Raises UserError if the journal was begun under other settings, or another process writes it.
    """
    protocol = protocols.find(settings.protocol)
    evaluation = run.evaluation(subject.step, problems[0].suite, mode, protocol.name)
    setup = _setup(mode, subject, settings, protocol, seed)
    with journal.Journal(evaluation.trajectories) as out:  # first: whoever has it open goes on with it alone
        runs.pin(evaluation.settings, _pinned(setup, subject, sandbox, settings))
        done = {(record["id"], record["sample"]) for record in journal.read(evaluation.trajectories)}
        wanted = keys(problems, settings)
        made = rollout(problems, subject.generator, sandbox, setup, done=done, in_flight=2 * settings.slots)
        what = f"{evaluation.folder.name} at step {subject.step}"
        for trajectory in track(made, what, len(wanted), len(done & wanted)):
            out.append(trajectory.to_json())
    return evaluation


def keys(problems: Sequence[Problem], settings: config.Eval) -> set[tuple[str, int]]:
    """The (id, sample) that an evaluation is about: a journal may hold more."""
    return {(problem.id, i) for problem in problems for i in range(settings.samples)}


def _setup(mode: str, subject: Subject, settings: config.Eval, protocol: Protocol, seed: int) -> Setup:
    return Setup(
        template=subject.template,
        protocol=protocol,
        mode=mode,
        sampling=Sampling(settings.temperature, settings.top_p, settings.top_k, seed),
        max_new=settings.max_new or protocol.max_new,
        rounds=settings.rounds or protocol.rounds,
        samples=settings.samples,
        checkpoint=subject.name,
        step=subject.step,
    )


def _pinned(setup: Setup, subject: Subject, sandbox: Sandbox, settings: config.Eval) -> dict[str, Any]:
    """All that decides what is written, but for the problems and the number of samples."""
    return {
        "checkpoint": subject.name,
        "step": subject.step,
        "template": setup.template.name,
        "protocol": setup.protocol.name,
        "seed": setup.sampling.seed,
        "cache_length": settings.cache_length,
        "max_new": setup.max_new,
        "rounds": setup.rounds,
        "temperature": setup.sampling.temperature,
        "top_p": setup.sampling.top_p,
        "top_k": setup.sampling.top_k,
        "sandbox": {name: getattr(sandbox.limits, name) for name in LIMITS},
        **subject.facts,
    }
