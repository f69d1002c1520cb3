"""Write the training set of an experiment: ArrayRecord files and a manifest, in WORKDIR/data.

Programs of solutions run in the sandbox, and what does not print its answer is dropped. Killed, the same command goes
on where it was.

Example:
  dsmath prepare --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2 --data_dir DATA
"""

import sys
from typing import Any

import rich.console
import rich.table
from absl import flags

from dsmath.cli import experiment


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values)
    experiment.define_data_dir(values)


def resumes(values: flags.FlagValues) -> bool:
    """Whether the same command goes on where it was."""
    return True


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Prepare, and return the manifest."""
    from dsmath.data import mixture

    run = experiment.run_of(values)
    manifest = mixture.prepare(experiment.settings(values), run.data, experiment.data_dir(values))
    console = rich.console.Console(file=sys.stderr if values.json else sys.stdout)
    console.print(_table(manifest))
    console.print(f"{manifest['examples']} examples in {run.data}", soft_wrap=True, highlight=False)
    return manifest


def _table(manifest: dict[str, Any]) -> rich.table.Table:
    table = rich.table.Table("Source", "Examples", "Dropped", "Files", box=rich.box.SIMPLE_HEAD)
    for name, source in manifest["sources"].items():
        drops = "\n".join(f"{count}: {reason}" for reason, count in source["drops"].items())
        table.add_row(name, str(source["examples"]), drops or "0", source["folder"])
    return table
