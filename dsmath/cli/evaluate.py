"""Sample solutions with the run's checkpoint, run their programs, and score them, into WORKDIR/evals/STEP/SUITE-MODE
(SUITE-MODE-PROTOCOL, unless the protocol is `reference`).

A killed evaluation goes on where it was with the same command.

Example:
  dsmath evaluate --config configs/sft_demo.py --workdir runs/demo --config.eval.limit=50
"""

import dataclasses
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import rich.console
import rich.progress
from absl import flags

from dsmath import config, journal
from dsmath.cli import experiment
from dsmath.error import UserError

log = logging.getLogger(__name__)

# Settings of an evaluation that must not change while it goes on: they decide what the model writes.
FIXED = ("protocol", "cache_length", "max_new", "rounds", "temperature", "top_p", "top_k")


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values)
    experiment.define_data_dir(values)
    experiment.define_step(values)


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Evaluate, and return the summaries of all suites and modes."""
    return evaluate(
        experiment.settings(values), experiment.workdir(values), experiment.data_dir(values), step=values.step
    )


def evaluate(settings: config.Config, workdir: Path, data_dir: Path | None, *, step: int | None) -> dict[str, Any]:
    """Evaluate one checkpoint on every suite and mode of the config."""
    from dsmath.sandbox.client import Sandbox
    from dsmath.suites import readers

    settings = _with_budgets(settings)
    # What can be refused is refused first: a wrong path should not cost a model's loading.
    suites = {name: readers.problems(name, data_dir, limit=settings.eval.limit) for name in settings.eval.suites}
    with Sandbox(settings.sandbox) as sandbox:
        loaded = _load(settings, workdir, step)
        log.info("evaluating step %d of %s; the first dispatches compile", loaded.step, workdir)
        summaries = [
            _evaluate_suite(settings, workdir, loaded, sandbox, mode, problems)
            for problems in suites.values()
            for mode in settings.eval.modes
        ]
    return {"workdir": str(workdir), "step": loaded.step, "checkpoint": loaded.checkpoint, "summaries": summaries}


def _with_budgets(settings: config.Config) -> config.Config:
    """The settings, checked, with the protocol's own budgets where none are given."""
    from dsmath.rollout import protocols, rollout
    from dsmath.score import graders, scoring

    for mode in settings.eval.modes:
        if mode not in rollout.MODES:
            raise UserError(f"config.eval.modes has {mode!r}; expected one of: {', '.join(rollout.MODES)}")
    if settings.eval.samples < 1:
        raise UserError(f"config.eval.samples is {settings.eval.samples}; expected 1 or more")
    protocol = protocols.find(settings.eval.protocol)
    grader = settings.eval.grader or protocol.grader
    if grader != scoring.ALL:
        graders.find(grader)
    budgets = dataclasses.replace(
        settings.eval,
        max_new=settings.eval.max_new or protocol.max_new,
        rounds=settings.eval.rounds or protocol.rounds,
        grader=grader,
    )
    limits = dataclasses.replace(settings.sandbox, timeout_s=settings.sandbox.timeout_s or protocol.timeout_s)
    return dataclasses.replace(settings, eval=budgets, sandbox=limits)


@dataclasses.dataclass(frozen=True)
class _Loaded:
    """A checkpoint, ready to generate."""

    step: int
    checkpoint: str  # its name, with the fingerprint of its weights
    engine: Any
    tokenizer: Any


def _load(settings: config.Config, workdir: Path, step: int | None) -> _Loaded:
    import jax
    import jax.numpy as jnp

    from dsmath.engine.engine import Engine
    from dsmath.model import decoder
    from dsmath.model.fingerprint import fingerprint
    from dsmath.sharding import make_mesh
    from dsmath.text import template

    mesh = make_mesh(settings.mesh)
    tokenizer = experiment.tokenizer(settings, workdir)
    step, params = experiment.weights(settings, workdir, step, mesh)
    name = f"{settings.start.weights} + {step} steps of {workdir.name}" if step else settings.start.weights
    checkpoint = f"{name} ({fingerprint(params)})"
    dtype = jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16
    engine = Engine(
        decoder.unstack(decoder.cast(params, dtype)),
        settings.model,
        tokenizer,
        end_tokens={template.end_token(template.TEMPLATES[settings.start.template], tokenizer), tokenizer.eos},
        slots=settings.eval.slots,
        cache_length=settings.eval.cache_length,
        decode_steps=settings.eval.decode_steps,
        mesh=mesh,
        dtype=dtype,
    )
    return _Loaded(step, checkpoint, engine, tokenizer)


def _evaluate_suite(
    settings: config.Config, workdir: Path, loaded: _Loaded, sandbox, mode: str, problems: list
) -> dict[str, Any]:
    """Roll out what the journal lacks, and score it."""
    from dsmath.rollout import protocols
    from dsmath.rollout.rollout import rollout
    from dsmath.score import scoring
    from dsmath.text.generator import Sampling
    from dsmath.text.template import TEMPLATES

    name = f"{problems[0].suite}-{mode}"
    if settings.eval.protocol != "reference":
        name += f"-{settings.eval.protocol}"
    folder = workdir / "evals" / str(loaded.step) / name
    path = folder / scoring.TRAJECTORIES
    _check_same(folder, {"checkpoint": loaded.checkpoint, "seed": settings.seed, **_fixed(settings)})
    done = {(record["id"], record["sample"]) for record in journal.read(path)} if path.exists() else set()
    total = len(problems) * settings.eval.samples
    records = rollout(
        problems,
        loaded.engine,
        sandbox,
        tokenizer=loaded.tokenizer,
        template=TEMPLATES[settings.start.template],
        sampling=Sampling(settings.eval.temperature, settings.eval.top_p, settings.eval.top_k, settings.seed),
        mode=mode,
        protocol=protocols.find(settings.eval.protocol),
        max_new=settings.eval.max_new,
        rounds=settings.eval.rounds,
        samples=settings.eval.samples,
        done=done,
        in_flight=2 * settings.eval.slots,
    )
    with journal.Journal(path) as out:
        for record in _track(records, f"{name} at step {loaded.step}", total, done=len(done)):
            out.append(record | {"checkpoint": loaded.checkpoint, "sandbox": sandbox.level})
    return scoring.score(folder, grader=settings.eval.grader)


def _fixed(settings: config.Config) -> dict[str, Any]:
    values = dataclasses.asdict(settings.eval)
    return {name: values[name] for name in FIXED}


def _check_same(folder: Path, now: dict[str, Any]) -> None:
    """Refuse to go on with a journal that was begun under other settings."""
    from dsmath.score import scoring

    if not (folder / scoring.SETTINGS).exists():
        journal.write(folder / scoring.SETTINGS, [json.dumps(now, indent=1)])
        return
    before = scoring.read_settings(folder)
    for name, value in now.items():
        if before.get(name) != value:
            raise UserError(
                f"{folder} was begun with {name} = {before.get(name)!r}, now it is {value!r}; "
                "set it back, or remove that folder to begin anew"
            )


def _track(records: Iterable[dict], what: str, total: int, *, done: int) -> Iterable[dict]:
    columns = (*rich.progress.Progress.get_default_columns(), rich.progress.MofNCompleteColumn())
    with rich.progress.Progress(*columns, console=rich.console.Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, completed=done)
        for record in records:
            yield record
            bar.advance(task)
