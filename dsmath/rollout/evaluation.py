"""The evaluation of a suite: what its journal lacks is rolled out, then the journal is scored.

The journal pins all that its figures depend on, so that the same command goes on where it was, and another one is
refused instead of mixed in.
"""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dsmath import config, journal, runs, runtime
from dsmath.error import Preempted, UserError
from dsmath.records import MODES, Problem, Trajectory
from dsmath.rollout.protocols import Protocol
from dsmath.rollout.rollout import Setup, rollout
from dsmath.rollout.ways import Way, Ways
from dsmath.sandbox.client import Sandbox
from dsmath.text.generator import Generator, Sampling

Track = Callable[[Iterable[Trajectory], str, int, int], Iterator[Trajectory]]  # what, of how many, how many are done

# Limits of programs decide what a response holds; how many run at a time and what is required around them do not.
LIMITS = ("timeout_s", "memory_mb", "output_kb")

POLL_S = 2.0  # between looks at what other processes have written
SILENCE_S = 900.0  # after which they count as gone: loading, compiling and the longest response take less


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is evaluated: a model that is ready to generate, and how it is asked."""

    generator: Generator
    way: Ways
    name: str  # with the fingerprint of its weights
    step: int  # of training; 0 for the weights that it starts from
    facts: dict[str, Any]  # what else decides on its answers, such as architecture, tokenizer, type: JSON values
    spent: Callable[[], str] = str  # why no further problem is to be begun; "" while there is no reason


def check_modes(settings: config.Eval) -> None:
    """Raise UserError for a mode that there isn't."""
    for mode in settings.modes:
        if mode not in MODES:
            raise UserError(f"config.eval.modes has {mode!r}; expected one of: {', '.join(MODES)}")


def with_budgets(settings: config.Eval, protocol: Protocol) -> config.Eval:
    """Evaluation settings with the protocol's own values where none are given."""
    return dataclasses.replace(
        settings,
        protocol=protocol.name,
        max_new=settings.max_new or protocol.max_new,
        rounds=settings.rounds or protocol.rounds,
        grader=settings.grader or protocol.grader,
    )


def limits_of(protocol: Protocol, limits: config.Sandbox) -> config.Sandbox:
    """The limits of programs, with the protocol's own time where none is given."""
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
    """Roll out what the journals of a suite's evaluation lack, as `fill` does."""
    suite = problems[0].suite
    way = subject.way(suite, mode)
    evaluation = run.evaluation(subject.step, suite, mode, way.protocol.name)
    fill(evaluation, problems, mode, way, subject, sandbox, settings, seed=seed, track=track)
    return evaluation


def fill(
    evaluation: runs.Evaluation,
    problems: Sequence[Problem],
    mode: str,
    way: Way,
    subject: Subject,
    sandbox: Sandbox,
    settings: config.Eval,
    *,
    seed: int,
    track: Track,
) -> None:
    """Roll out what the journals lack. `settings` are those of `with_budgets`, for the way's protocol.

    Of several processes, which see the same folder, each takes its share of the problems into a journal of its own. The
    first one then waits for the others, and puts all into one journal; they go on meanwhile.

    Raises UserError if the journal was begun under other settings, another process writes it, or what may be spent is
    spent; Preempted if the others write nothing any more.
    """
    index, count = runtime.process()
    share = problems[index::count]
    mine = keys(share, settings)
    if index and mine <= _done(evaluation):  # what is whole is the first one's
        return
    setup = _setup(mode, way, subject, settings, seed)
    what = f"{evaluation.folder.name} at step {subject.step}" + (f", {index + 1} of {count}" if count > 1 else "")
    with journal.Journal(evaluation.journal(index)) as out:  # first: whoever has it open goes on with it alone
        runs.pin(evaluation.settings, _pinned(setup, subject, sandbox, settings))
        done = _done(evaluation)
        begun = itertools.takewhile(lambda _: not subject.spent(), share)
        made = rollout(begun, subject.generator, sandbox, setup, done=done, in_flight=2 * settings.slots)
        for trajectory in track(made, what, len(mine), len(done & mine)):
            out.append(trajectory.to_json())
        if (why := subject.spent()) and mine - _done(evaluation):
            raise UserError(why)
        if index == 0:
            out.sync()
            if count > 1:
                _wait_for_others(evaluation, keys(problems, settings))
            _merge(evaluation, out)


def _done(evaluation: runs.Evaluation) -> set[tuple[str, int]]:
    """The (id, sample) in the journals of all processes that ever worked on an evaluation."""
    return {(record["id"], record["sample"]) for path in evaluation.journals() for record in _records(path)}


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Those of a journal; none if the first process has just put them into its own."""
    try:
        yield from journal.read(path)
    except UserError:
        if path.exists():
            raise


def _wait_for_others(evaluation: runs.Evaluation, wanted: set[tuple[str, int]]) -> None:
    """Until the journals hold what is wanted."""
    missing, news_at = set(wanted), time.monotonic()
    while True:
        begun = time.monotonic()
        if not (left := missing - _done(evaluation)):
            return
        now = time.monotonic()
        if len(left) < len(missing):
            missing, news_at = left, now
        elif now - news_at > SILENCE_S:
            raise Preempted(
                f"{len(left)} of {len(wanted)} responses of {evaluation.folder} are missing, and for "
                f"{SILENCE_S / 60:.0f} minutes no process has added one: the others are gone, or see another folder; "
                "the same command, on any number of processes, goes on from here"
            )
        time.sleep(max(POLL_S, 9 * (now - begun)))  # looking takes a tenth of the time at most


def _merge(evaluation: runs.Evaluation, out: journal.Journal) -> None:
    """Put the parts into the journal, which is open, and remove them. Killed, it can be done again."""
    *parts, whole = evaluation.journals()
    if not parts:
        return
    seen = {(record["id"], record["sample"]) for record in journal.read(whole)}
    for part in parts:
        new = {(record["id"], record["sample"]): record for record in journal.read(part)}
        out.extend(record for key, record in new.items() if key not in seen)
        seen |= new.keys()
    out.sync()
    for part in parts:
        part.unlink()


def keys(problems: Sequence[Problem], settings: config.Eval) -> set[tuple[str, int]]:
    """The (id, sample) that an evaluation is about: a journal may hold more."""
    return {(problem.id, i) for problem in problems for i in range(settings.samples)}


def _setup(mode: str, way: Way, subject: Subject, settings: config.Eval, seed: int) -> Setup:
    return Setup(
        template=way.template,
        protocol=way.protocol,
        otherwise=way.otherwise,
        mode=mode,
        sampling=Sampling(settings.temperature, settings.top_p, settings.top_k, seed),
        max_new=settings.max_new or way.protocol.max_new,
        rounds=settings.rounds or way.protocol.rounds,
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
