"""Write the training set of an experiment: ArrayRecord files and a manifest, in WORKDIR/data.

Example:
  dsmath prepare --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2 --data_dir DATA
"""

from typing import Any

from absl import flags

from dsmath.cli import experiment


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values)
    experiment.define_data_dir(values)


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Prepare, and return the manifest."""
    from dsmath.data import mixture

    settings, workdir = experiment.settings(values), experiment.workdir(values)
    return mixture.prepare(settings, workdir / "data", experiment.data_dir(values))
