"""Grade answers again, without a device: the journals of a run's evaluations, or a file of outputs.

  --workdir grades every WORKDIR/evals/STEP/SUITE-MODE/trajectories.jsonl, and writes scores.jsonl and summary.json
            beside it.
  --outputs grades a file, and writes its lines to --out with prediction, answer, correct and reason added. A line holds
            question, output, gold_source, and if need be suite; the predictions.json of DeepSeekMath's evaluation code
            and ToRA's output files are read, too. Killed, the same command goes on behind what is in OUT.partial.
  --grader  names one; if not given, the one used before, else reference. With "all", every grader's verdicts stand side
            by side, in graders.jsonl beside scores.jsonl or as "verdicts" in the lines of --out, and tables show where
            they disagree; those are kept in WORKDIR/report/graders.md, or beside --out in a file that ends in
            .graders.md.

Example:
  dsmath score --workdir runs/demo --grader all
  dsmath score --outputs predictions.jsonl --suite math --grader reference --out scores.jsonl
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags
from rich.console import Console

from dsmath import journal, runs
from dsmath.cli import experiment
from dsmath.error import UserError

if TYPE_CHECKING:
    from dsmath.report.sheet import Sheet

DEFAULT = "reference"


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define_workdir(values)
    flags.DEFINE_string("grader", None, "how answers are read and compared; all for every way", values)
    flags.DEFINE_string("outputs", None, "file of outputs to grade", values)
    flags.DEFINE_string("suite", None, "suite of the outputs that don't say theirs", values)
    flags.DEFINE_string("out", None, "file to write the graded outputs to", values)


def resumes(values: flags.FlagValues) -> bool:
    """Whether the same command goes on where it was: the grading of a file does."""
    return values.outputs is not None


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Score the file, or every evaluation in the folder, and return what was found."""
    if values.outputs is None:
        return _score_journals(values)
    if values.workdir:
        raise UserError("both --workdir and --outputs are given; expected one: a run's journals, or a file of outputs")
    if not values.out:
        raise UserError("--out is missing; expected the file to write, such as --out scores.jsonl")
    return _score_outputs(values, Path(values.out))


def _score_outputs(values: flags.FlagValues, out: Path) -> dict[str, Any]:
    from dsmath.report import disagreements
    from dsmath.score import outputs

    summary = outputs.score_outputs(Path(values.outputs), out, suite=values.suite, grader=values.grader or DEFAULT)
    console = Console(stderr=values.json)
    if "graders" in summary:
        lines = [{"id": number, **line} for number, line in enumerate(journal.read(out), 1)]
        _show(disagreements.sheets(lines, Path(values.outputs).name), out.with_name(f"{out.name}.graders.md"), console)
    console.print(_sentence(summary), soft_wrap=True, highlight=False, markup=False)
    return summary


def _score_journals(values: flags.FlagValues) -> dict[str, Any]:
    from dsmath.report import disagreements, table
    from dsmath.score import scoring
    from dsmath.score.graders import Grading

    run = experiment.run_of(values)
    evaluations = run.evaluations()
    if not evaluations:
        raise UserError(f"no evaluation in {run.workdir}; expected evals/STEP/SUITE-MODE/: run dsmath evaluate first")
    with Grading() as grading:
        summaries = [scoring.score(one, grading, values.grader or _last_grader(one)) for one in evaluations]
    console = Console(stderr=values.json)
    if values.grader == scoring.ALL:
        scored = [{**summary, "evaluation": one} for summary, one in zip(summaries, evaluations, strict=True)]
        _show(disagreements.sheets_of_runs(scored), run.report / "graders.md", console)
    console.print(table.accuracies(summaries).terminal())
    console.print(f"Written to {run.workdir / 'evals'}", soft_wrap=True, highlight=False)
    return {"summaries": summaries}


def _last_grader(evaluation: runs.Evaluation) -> str:
    """The grader that the evaluation was scored with last."""
    if not evaluation.summary.exists():
        return DEFAULT
    return json.loads(evaluation.summary.read_text(encoding="utf-8"))["grader"]


def _show(sheets: list["Sheet"], path: Path, console: Console) -> None:
    for sheet in sheets:
        console.print(sheet.terminal())
    journal.write(path, ["# Graders\n\n" + "\n".join(sheet.markdown() for sheet in sheets)])
    console.print(f"Written to {path}", soft_wrap=True, highlight=False)


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
