"""Grade the journals of a run's evaluations again, without a device.

Example:
  dsmath score --workdir runs/demo --grader reference
"""

from typing import Any

from absl import flags

from dsmath.cli import experiment
from dsmath.error import UserError


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define_workdir(values)
    flags.DEFINE_string("grader", "reference", "how answers are read and compared", values)


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Score every evaluation in the folder, and return their summaries."""
    from dsmath.score import scoring

    workdir = experiment.workdir(values)
    journals = sorted((workdir / "evals").glob("*/*/trajectories.jsonl"))
    if not journals:
        raise UserError(f"no evaluation in {workdir}; expected evals/STEP/SUITE-MODE/: run dsmath evaluate first")
    return {"summaries": [scoring.score(journal.parent, grader=values.grader) for journal in journals]}
