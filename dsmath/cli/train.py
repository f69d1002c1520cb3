"""Fine-tune on the training set in WORKDIR/data. The same command goes on where it was killed.

What the run was begun with stays; its length, its checkpoints' rhythm, its mesh and how a step is cut (microbatches,
remat) may change, so that a run that has run out of memory goes on.

The same command on every host trains one model on all their devices; WORKDIR is a folder that all of them see. It exits
with 75 where it was stopped from outside (SIGTERM, a lost host), and goes on when it is run again. With
config.train.eval_every, the benchmarks of config.eval are sampled meanwhile.

Example:
  dsmath train --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2 --config.train.steps=100
"""

import dataclasses
import functools
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich.console
from absl import flags

from dsmath import config, runs, runtime
from dsmath.cli import experiment
from dsmath.config import need

if TYPE_CHECKING:
    from dsmath.model.decoder import Params


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values)
    experiment.define_data_dir(values)


def resumes(values: flags.FlagValues) -> bool:
    """Whether the same command goes on where it was."""
    return True


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Train, and return the last metrics."""
    console = rich.console.Console(file=sys.stderr if values.json else sys.stdout)
    settings, run = experiment.settings(values), experiment.run_of(values)
    return train(settings, run, experiment.data_dir(values), console=console)


def train(
    settings: config.Config, run: runs.Run, data_dir: Path | None, *, console: rich.console.Console
) -> dict[str, Any]:
    """Train the experiment in its folder from its latest checkpoint, or from its start, and show how it ended.

    `data_dir` has the benchmarks that it is evaluated on meanwhile.
    """
    from dsmath.cli import subject
    from dsmath.data import prepared
    from dsmath.model import weights
    from dsmath.sharding import TRAINING
    from dsmath.train import loop

    runtime.start()
    examples = prepared.examples(run.data, settings)
    if runtime.is_first():
        runs.pin(run.trained_on, {"data": examples.hash})
    start = need(settings.start, "start")
    arch = weights.arch_of(start.weights, settings.model)
    settings = dataclasses.replace(settings, model=arch)
    tokens = subject.tokenizer(settings, run)
    subject.check_vocabulary(tokens, arch)
    last = loop.fit(
        settings,
        run,
        params=lambda mesh: weights.open_start(start.weights, arch, seed=settings.seed, mesh=mesh, rules=TRAINING)[1],
        parts=prepared.parts(examples, need(settings.data, "data")),
        tokenizer=tokens,
        template=subject.template_of(start),
        progress=True,
        evaluate=functools.partial(_evaluate, settings, run, data_dir),
    )
    if last and runtime.is_first():
        console.print(_line(last, run), soft_wrap=True, highlight=False)
    return last


def _evaluate(
    settings: config.Config, run: runs.Run, data_dir: Path | None, step: int, params: "Params"
) -> dict[str, float]:
    """The accuracy in each suite and mode, on the first problems: an evaluation of that step like any other.

    It decodes on this host's devices, with the weights split over as many of them as can be.
    """
    import jax

    from dsmath.cli import evaluate

    train, arch = need(settings.train, "train"), need(settings.model, "model")
    parts = math.gcd(jax.local_device_count(), arch.num_kv_heads, arch.intermediate_size, arch.vocab_size)
    settings = dataclasses.replace(
        settings,
        eval=dataclasses.replace(need(settings.eval, "eval"), limit=train.eval_problems),
        mesh=config.Mesh(data=-1, fsdp=1, tensor=parts),
    )
    console = rich.console.Console(stderr=True)
    found = evaluate.evaluate(settings, run, data_dir, step=step, console=console, trained=params)
    return {f"accuracy/{s['suite']}-{s['mode']}": s["accuracy"] for s in found["summaries"]}


def _line(last: dict[str, float], run: runs.Run) -> str:
    return (
        f"step {last['step']:.0f}, loss {last['loss']:.3f}, {last['trained_tokens_per_second']:,.0f} trained tokens/s; "
        f"checkpoints in {run.checkpoints}, curves in {run.metrics} and {run.tensorboard}"
    )
