"""Fine-tune on the training set in WORKDIR/data. The same command goes on where it was killed.

What the run was begun with stays; its length, its checkpoints' rhythm, its mesh and how a step is cut (microbatches,
remat) may change, so that a run that has run out of memory goes on.

Example:
  dsmath train --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2 --config.train.steps=100
"""

import dataclasses
import sys
from typing import Any

import rich.console
from absl import flags

from dsmath import config, runs, runtime
from dsmath.cli import experiment
from dsmath.config import need


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values)


def resumes(values: flags.FlagValues) -> bool:
    """Whether the same command goes on where it was."""
    return True


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Train, and return the last metrics."""
    console = rich.console.Console(file=sys.stderr if values.json else sys.stdout)
    return train(experiment.settings(values), experiment.run_of(values), console=console)


def train(settings: config.Config, run: runs.Run, *, console: rich.console.Console) -> dict[str, Any]:
    """Train the experiment in its folder from its latest checkpoint, or from its start, and show how it ended."""
    from dsmath.cli import subject
    from dsmath.data import mixture
    from dsmath.model import weights
    from dsmath.sharding import TRAINING
    from dsmath.text import template as templates
    from dsmath.train import loop

    runtime.start()
    examples = mixture.examples(run.data, settings)
    start = need(settings.start, "start")
    arch = weights.arch_of(start.weights, settings.model)
    settings = dataclasses.replace(settings, model=arch)
    tokens = subject.tokenizer(settings, run)
    subject.check_vocabulary(tokens, arch)
    last = loop.fit(
        settings,
        run,
        params=lambda mesh: weights.open_start(start.weights, arch, seed=settings.seed, mesh=mesh, rules=TRAINING)[1],
        source=examples,
        tokenizer=tokens,
        template=templates.find(start.template),
        progress=True,
    )
    if last:
        console.print(_line(last, run), soft_wrap=True, highlight=False)
    return last


def _line(last: dict[str, float], run: runs.Run) -> str:
    return (
        f"step {last['step']:.0f}, loss {last['loss']:.3f}, {last['trained_tokens_per_second']:,.0f} trained tokens/s; "
        f"checkpoints in {run.checkpoints}, curves in {run.metrics} and {run.tensorboard}"
    )
