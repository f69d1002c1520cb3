"""The results of a workdir: accuracies with 95% intervals, paired tests, details, and the paper's Table 5.

What the tables show is collected once, as records and sheets; the terminal and the pages are renderings of them.
"""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from dsmath import journal
from dsmath.error import UserError
from dsmath.report import details, disagreements, table5
from dsmath.report import paired as pairs
from dsmath.report.sheet import Sheet, percent
from dsmath.runs import Run
from dsmath.suites import catalogue

# Of a summary, what every table takes for granted.
SHOWN = ("suite", "mode", "step", "template", "protocol", "grader", "breakdowns", "outcomes", "tools", "cost")

_INTRODUCTION = """# Results

Accuracy in percent, with Wilson's 95% interval; where there are several samples per problem, the problem is its unit.
n is the number of graded responses.

"""


def report(
    run: Run, console: Console | None = None, *, against: Run | None = None, beside: Sequence[Run] = ()
) -> dict[str, Any]:
    """Print the tables to `console` (stdout), write them to WORKDIR/report, and return it all as JSON values.

    `against` is another run, to compare with on the problems that both have finished.

    Written: results.md, and the paper's Table 5 as table5.md and table5.csv, with the rows of this run in it, and of
    those `beside` it.
    """
    console = console or Console()
    summaries = rows(run)
    comparisons = pairs.paired(summaries)
    if against is not None:
        comparisons += pairs.against(summaries, rows(against), against.name)
    cells = [*table5.paper(), *table5.measured([*summaries, *(row for other in beside for row in rows(other))])]
    sheets = [accuracies(summaries)]
    if comparisons:
        sheets.append(pairs.sheet(comparisons))
    sheets += details.sheets(summaries)
    for sheet in sheets:
        console.print(sheet.terminal())
    if any(cell.origin is table5.Origin.MEASURED for cell in cells):
        console.print(table5.terminal(cells))
    sheets += disagreements.sheets_of_runs(summaries)  # for the page alone: `dsmath score` has shown them
    folder = run.report
    pages = {
        "markdown": (folder / "results.md", _INTRODUCTION + "\n".join(sheet.markdown() for sheet in sheets)),
        "table5": (folder / "table5.md", table5.markdown(cells)),
        "table5_csv": (folder / "table5.csv", table5.csv(cells)),
    }
    for path, text in pages.values():
        journal.write(path, [text])
    console.print(f"Written to {', '.join(str(path) for path, _ in pages.values())}", soft_wrap=True, highlight=False)
    return {
        "results": [{key: value for key, value in summary.items() if key != "evaluation"} for summary in summaries],
        "paired": [dataclasses.asdict(comparison) for comparison in comparisons],
        **{name: str(path) for name, (path, _) in pages.items()},
    }


def rows(run: Run) -> list[dict[str, Any]]:
    """All summaries of a run by suite, mode and step, each with its `evaluation`.

    Raises UserError if there is none, or if one can't be read or lacks what is shown.
    """
    found = [evaluation for evaluation in run.evaluations() if evaluation.summary.exists()]
    if not found:
        raise UserError(
            f"no scored evaluation in {run.workdir}/evals; make one with `dsmath evaluate --workdir {run.workdir}`"
        )
    summaries = []
    for evaluation in found:
        path = evaluation.summary
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as e:
            raise UserError(f"cannot read {path}: {e}; write it again with `dsmath score`") from e
        if missing := [key for key in SHOWN if key not in summary]:
            raise UserError(
                f"{path} has no {missing[0]!r}, it is an older version's; write it again with `dsmath score`"
            )
        summaries.append({**summary, "evaluation": evaluation})
    order = list(catalogue.SUITES)
    return sorted(summaries, key=lambda s: (order.index(catalogue.find(s["suite"]).name), s["mode"], s["step"]))


def accuracies(summaries: list[dict[str, Any]]) -> Sheet:
    """What each evaluation came to."""
    header = (
        "Suite",
        "Mode",
        "Step",
        "Accuracy [95%]",
        "n",
        "Protocol",
        "Grader",
        "Template",
        "Settings",
        "Checkpoint",
    )
    return Sheet("Accuracy in %", header, [_accuracy_cells(summary) for summary in summaries], page_only=3)


def _accuracy_cells(summary: dict[str, Any]) -> tuple[str, ...]:
    size = catalogue.find(summary["suite"]).size
    n, problems = summary["n"], summary.get("problems", summary["n"])
    done = str(n) if size in (None, problems) else f"{problems} of {size}"
    if problems < n:
        done += f", {n} samples"
    return (
        *details.run_cells(summary),
        percent(summary),
        done,
        summary["protocol"],
        summary["grader"],
        summary["template"] or "",
        details.settings(summary),
        summary["checkpoint"],
    )
