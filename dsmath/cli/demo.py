"""Train a small model from scratch on embedded problems and evaluate it with and without tools, end to end.

Example:
  dsmath demo --workdir runs/demo
"""

import logging
from pathlib import Path
from typing import Any

from absl import flags
from rich.console import Console

from dsmath.cli import experiment

log = logging.getLogger(__name__)

CONFIG = Path(__file__).parents[2] / "configs" / "sft_demo.py"


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values, config=CONFIG, workdir="runs/demo")


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Prepare, train, evaluate before and after, report. Each stage is skipped or resumed where it was done already."""
    from dsmath.cli import evaluate, train
    from dsmath.data import mixture
    from dsmath.report import table

    settings, workdir = experiment.settings(values), experiment.workdir(values)
    mixture.prepare(settings, workdir / "data", None)
    train.train(settings, workdir)
    evaluate.evaluate(settings, workdir, None, step=0)
    evaluate.evaluate(settings, workdir, None, step=None)
    result = table.report(workdir, Console(stderr=values.json))
    log.info("the run lies in %s: metrics, checkpoints, transcripts under evals/, the tables under report/", workdir)
    return result
