"""Fine-tune on the training set in WORKDIR/data. The same command goes on where it was killed.

Example:
  dsmath train --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2 --config.train.steps=100
"""

from pathlib import Path
from typing import Any

from absl import flags

from dsmath import config
from dsmath.cli import experiment


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values)


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Train, and return the last metrics."""
    return train(experiment.settings(values), experiment.workdir(values))


def train(settings: config.Config, workdir: Path) -> dict[str, Any]:
    """Train the experiment in its folder from its latest checkpoint, or from its start."""
    from dsmath.data import mixture
    from dsmath.text.template import TEMPLATES
    from dsmath.train import loop

    return loop.fit(
        settings,
        workdir,
        params=lambda: experiment.start_weights(settings),
        source=mixture.examples(workdir / "data"),
        tokenizer=experiment.tokenizer(settings, workdir),
        template=TEMPLATES[settings.start.template],
        progress=True,
    )
