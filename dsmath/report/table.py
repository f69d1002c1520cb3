"""The results of a workdir: accuracies with 95% intervals, and paired tests on the problems that two runs share.

What the tables show is collected once, as records; the terminal and results.md are two renderings of them.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dsmath import journal
from dsmath.error import UserError
from dsmath.score import suites
from dsmath.score.scoring import SCORES, SUMMARY
from dsmath.score.statistics import McNemar, mcnemar

MODES = {"cot": "CoT", "tool": "TIR"}

_ACCURACIES = ("Suite", "Mode", "Step", "Accuracy [95%]", "n", "Protocol", "Grader", "Checkpoint")
_PAIRED = ("Suite", "a", "b", "n", "only a", "only b", "McNemar p")


@dataclasses.dataclass(frozen=True)
class Paired:
    """Two runs, a and b, on the problems that both have finished."""

    suite: str
    mode_a: str
    step_a: int | str
    mode_b: str
    step_b: int | str
    n: int
    test: McNemar


def report(workdir: Path, console: Console | None = None) -> dict[str, Any]:
    """Print the tables to `console` (stdout), write WORKDIR/report/results.md, and return it all as JSON values."""
    console = console or Console()
    summaries = rows(workdir)
    comparisons = paired(summaries)
    cells = [accuracy_cells(summary) for summary in summaries]
    paired_cells = [comparison_cells(comparison) for comparison in comparisons]
    console.print(_terminal("Accuracy in %", _ACCURACIES[:-1], [row[:-1] for row in cells]))  # paths are for the page
    if paired_cells:
        console.print(_terminal("Paired comparisons", _PAIRED, paired_cells))
    path = Path(workdir) / "report" / "results.md"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(markdown(cells, paired_cells), encoding="utf-8")
    except OSError as e:
        raise UserError(f"cannot write {path}: {e.strerror}; make the folder writable") from e
    console.print(f"Written to {path}", soft_wrap=True, highlight=False)
    return {
        "results": [{key: value for key, value in summary.items() if key != "folder"} for summary in summaries],
        "paired": [dataclasses.asdict(comparison) for comparison in comparisons],
        "markdown": str(path),
    }


def rows(workdir: Path) -> list[dict[str, Any]]:
    """All summaries of a workdir by suite, mode and step, each with its folder.

    Raises UserError if there is none, or if one can't be read.
    """
    paths = sorted(Path(workdir).glob(f"evals/*/*/{SUMMARY}"))
    if not paths:
        raise UserError(f"no scored evaluation in {workdir}/evals; make one with `dsmath evaluate --workdir {workdir}`")
    summaries = []
    for path in paths:
        try:
            summaries.append({**json.loads(path.read_text(encoding="utf-8")), "folder": path.parent})
        except (OSError, ValueError) as e:
            raise UserError(f"cannot read {path}: {e}; write it again with `dsmath score`") from e
    order = list(suites.SUITES)
    return sorted(summaries, key=lambda s: (order.index(suites.find(s["suite"]).name), s["mode"], _step_key(s["step"])))


def paired(summaries: list[dict[str, Any]]) -> list[Paired]:
    """TIR against CoT at each step, then each later step against the first one, per suite.

    Runs are compared only under the same protocol and grader.
    """
    return [*_tir_against_cot(summaries), *_steps_against_first(summaries)]


def accuracy_cells(summary: dict[str, Any]) -> tuple[str, ...]:
    """One row of the table of accuracies."""
    size = suites.find(summary["suite"]).size
    low, high = summary["interval"]
    return (
        suites.find(summary["suite"]).title,
        MODES[summary["mode"]],
        str(summary["step"]),
        f"{summary['accuracy']:.1f} [{low:.1f}, {high:.1f}]",
        str(summary["n"]) if size in (None, summary["n"]) else f"{summary['n']} of {size}",
        summary["protocol"],
        summary["grader"],
        summary["checkpoint"],
    )


def comparison_cells(comparison: Paired) -> tuple[str, ...]:
    """One row of the table of paired comparisons."""
    test = comparison.test
    p = f"{test.p:.3f}" if test.p >= 0.001 else f"{test.p:.1e}"
    return (
        suites.find(comparison.suite).title,
        f"{MODES[comparison.mode_a]} at {comparison.step_a}",
        f"{MODES[comparison.mode_b]} at {comparison.step_b}",
        str(comparison.n),
        str(test.only_a),
        str(test.only_b),
        p,
    )


def markdown(cells: list[tuple[str, ...]], paired_cells: list[tuple[str, ...]]) -> str:
    """Both tables as a page."""
    text = "# Results\n\nAccuracy in percent, with Wilson's 95% interval; n is the number of graded responses.\n\n"
    text += _markdown_table(_ACCURACIES, cells)
    if paired_cells:
        text += (
            "\n## Paired comparisons\n\nOn the problems that both runs have finished: how many only one of them got "
        )
        text += "right, and the exact two-sided McNemar test.\n\n" + _markdown_table(_PAIRED, paired_cells)
    return text


def _tir_against_cot(summaries: list[dict[str, Any]]) -> Iterator[Paired]:
    for a, b in itertools.combinations(summaries, 2):
        if _comparable(a, b) and a["step"] == b["step"] and (a["mode"], b["mode"]) == ("cot", "tool"):
            yield _compare(b, a)


def _steps_against_first(summaries: list[dict[str, Any]]) -> Iterator[Paired]:
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for summary in summaries:  # sorted by step within a mode
        start = first.setdefault((summary["suite"], summary["mode"]), summary)
        if start is not summary and _comparable(start, summary):
            yield _compare(summary, start)


def _comparable(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(a[key] == b[key] for key in ("suite", "protocol", "grader"))


def _compare(a: dict[str, Any], b: dict[str, Any]) -> Paired:
    correct_a, correct_b = _correct(a["folder"]), _correct(b["folder"])
    common = sorted(correct_a.keys() & correct_b.keys())
    test = mcnemar([correct_a[key] for key in common], [correct_b[key] for key in common])
    return Paired(a["suite"], a["mode"], a["step"], b["mode"], b["step"], len(common), test)


def _correct(folder: Path) -> dict[tuple[str, int], bool]:
    return {(record["id"], record["sample"]): record["correct"] for record in journal.read(folder / SCORES)}


def _step_key(step: int | str) -> tuple[int, int, str]:
    """Numbers in their order, before names."""
    return (0, step, "") if isinstance(step, int) else (1, 0, step)


def _terminal(title: str, header: tuple[str, ...], cells: list[tuple[str, ...]]) -> Table:
    table = Table(*header, title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in cells:
        table.add_row(*map(Text, row))  # Text: brackets are not markup
    return table


def _markdown_table(header: tuple[str, ...], cells: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *cells]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
