"""Print a run's results and write them to WORKDIR/report: results.md, and Table 5 as table5.md and table5.csv.

Accuracies with 95% intervals, paired tests, what became of the responses, use of programs, breakdowns; and the paper's
Table 5 with the run's rows in it, each cell marked as the paper's or as measured here, each of the paper's rows with
what it takes to measure it.

Example:
  dsmath report --workdir runs/demo
  dsmath report --workdir runs/longer --against runs/demo
  dsmath report --workdir runs/tora-code-34b --beside runs/mammoth-70b,runs/gpt-4
"""

from typing import Any

from absl import flags
from rich.console import Console

from dsmath import runs
from dsmath.cli import experiment


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define_workdir(values)
    flags.DEFINE_string("against", None, "folder of another run, to compare with on common problems", values)
    flags.DEFINE_list("beside", [], "folders of other runs, whose rows stand in Table 5 as well", flag_values=values)


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Report, and return the rows."""
    from dsmath.report import table

    against = runs.Run(values.against) if values.against else None
    beside = [runs.Run(workdir) for workdir in values.beside]
    return table.report(experiment.run_of(values), Console(stderr=values.json), against=against, beside=beside)
