"""Train a small model from scratch on embedded problems and evaluate it with and without tools, end to end.

Killed at any moment, the same command goes on where it was.

Example:
  dsmath demo --workdir runs/demo
"""

import logging
import sys
from typing import Any

import rich.console
from absl import flags

from dsmath import recipes
from dsmath.cli import experiment

log = logging.getLogger(__name__)


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values, default=recipes.demo(), workdir="runs/demo")


def resumes(values: flags.FlagValues) -> bool:
    """Whether the same command goes on where it was."""
    return True


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Prepare, train, evaluate before and after, report. Each stage is skipped or resumed where it was done already."""
    from dsmath.cli import evaluate, prepare, train
    from dsmath.report import table

    settings, run = experiment.settings(values), experiment.run_of(values)
    stderr = rich.console.Console(stderr=True)
    prepare.prepare(settings, run.data, None)
    train.train(settings, run, None, console=stderr)
    for step in (0, None):  # the weights that it started from, and the last checkpoint
        evaluate.evaluate(settings, run, None, step=step, console=stderr)
    result = table.report(run, rich.console.Console(file=sys.stderr if values.json else sys.stdout))
    log.info(
        "the run lies in %s: metrics, checkpoints, transcripts under evals/, the tables under report/", run.workdir
    )
    return result
