"""Print a run's results with 95% intervals and paired tests, and write them to WORKDIR/report/results.md.

Example:
  dsmath report --workdir runs/demo
"""

from typing import Any

from absl import flags
from rich.console import Console

from dsmath.cli import experiment


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define_workdir(values)


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Report, and return the rows."""
    from dsmath.report import table

    return table.report(experiment.workdir(values), Console(stderr=values.json))
