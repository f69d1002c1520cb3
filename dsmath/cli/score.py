"""Grade answers again, without a device: the journals of a run's evaluations, or a file of outputs.

  --workdir grades every WORKDIR/evals/STEP/SUITE-MODE/trajectories.jsonl, and writes scores.jsonl and summary.json
            beside it.
  --outputs grades a file, and writes its lines to --out with prediction, answer, correct and reason added. A line holds
            question, output, gold_source, and if need be suite; the predictions.json of DeepSeekMath's evaluation code
            and ToRA's output files are read, too.

Example:
  dsmath score --workdir runs/demo --grader reference
  dsmath score --outputs predictions.jsonl --suite math --grader reference --out scores.jsonl
"""

from pathlib import Path
from typing import Any

from absl import flags
from rich.console import Console

from dsmath.cli import experiment
from dsmath.error import UserError


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define_workdir(values)
    flags.DEFINE_string("grader", "reference", "how answers are read and compared", values)
    flags.DEFINE_string("outputs", None, "file of outputs to grade", values)
    flags.DEFINE_string("suite", None, "suite of the outputs that don't say theirs", values)
    flags.DEFINE_string("out", None, "file to write the graded outputs to", values)


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Score the file, or every evaluation in the folder, and return what was found."""
    if values.outputs is None:
        return _journals(values)
    from dsmath.score import outputs

    if values.workdir:
        raise UserError("both --workdir and --outputs are given; expected one: a run's journals, or a file of outputs")
    if not values.out:
        raise UserError("--out is missing; expected the file to write, such as --out scores.jsonl")
    summary = outputs.score_outputs(Path(values.outputs), Path(values.out), suite=values.suite, grader=values.grader)
    console = Console(stderr=values.json)
    console.print(_sentence(summary), soft_wrap=True, highlight=False, markup=False)
    return summary


def _journals(values: flags.FlagValues) -> dict[str, Any]:
    from dsmath.score import scoring

    workdir = experiment.workdir(values)
    journals = sorted((workdir / "evals").glob("*/*/trajectories.jsonl"))
    if not journals:
        raise UserError(f"no evaluation in {workdir}; expected evals/STEP/SUITE-MODE/: run dsmath evaluate first")
    return {"summaries": [scoring.score(journal.parent, grader=values.grader) for journal in journals]}


def _sentence(summary: dict[str, Any]) -> str:
    low, high = summary["interval"]
    problems = f" ({summary['problems']} problems)" if "problems" in summary else ""
    text = (
        f"{summary['correct']} of {summary['n']} correct{problems}, {summary['accuracy']:.2f}% [{low:.2f}, {high:.2f}]"
    )
    text += f" by the grader {summary['grader']}"
    if published := summary.get("published"):
        text += f"; the file's own verdicts: {published['correct']} of {published['n']} correct"
        text += f", {published['only_published']} only there, {published['only_ours']} only here"
    return f"{text}; written to {summary['out']}"
