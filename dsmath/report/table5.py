"""Table 5 of the DeepSeekMath paper with this project's measurements in it.

A cell is the paper's or measured here, and says which. The paper's cells come from table5.json beside this file; they
carry the 95% interval that the size of the test set implies, since the paper prints none. A row of the paper's says
whether its system can be evaluated here (dsmath/systems), and what nobody could confirm of it.
"""

import csv as csv_format
import dataclasses
import enum
import importlib.resources
import io
import itertools
import json
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from dsmath.report import details
from dsmath.score.counts.outcomes import Outcome
from dsmath.score.counts.statistics import wilson
from dsmath.suites import catalogue
from dsmath.systems import roster
from dsmath.systems.system import System

BENCHMARKS = ("gsm8k", "math", "mgsm_zh", "cmath")
SECTIONS = {"cot": "Chain of thought", "tir": "Tools and programs"}
NOT_ANSWERED = (Outcome.TOO_LONG, Outcome.REFUSED, Outcome.FAILED, Outcome.NOT_GRADED)
ACCESSES = ("closed", "open", "served")  # of "served" nobody says whose weights they are
_SECTION_OF = {"cot": "cot", "tool": "tir", "pot": "tir"}


MEASURED = "measured here"  # the state of a row; the others are those of dsmath/systems/system.py


class Origin(enum.StrEnum):
    """Who says so."""

    PAPER = "paper"
    MEASURED = MEASURED


@dataclasses.dataclass(frozen=True)
class How:
    """How a figure came about that is measured here."""

    mode: str
    step: int
    checkpoint: str
    template: str
    protocol: str
    grader: str
    sandbox: str
    settings: str  # budgets and sampling


@dataclasses.dataclass(frozen=True)
class Cell:
    """One figure: accuracy and its 95% interval in percent."""

    section: str  # of SECTIONS
    access: str  # of ACCESSES
    system: str
    size_b: float | None  # parameters in billions
    benchmark: str
    accuracy: float
    low: float
    high: float
    n: int  # problems done
    size: int  # problems of the benchmark
    remark: str | None  # of the paper's: maj@32; of ours: several samples
    how: How | None  # None for the paper's

    @property
    def origin(self) -> Origin:
        """Whose figure it is."""
        return Origin.PAPER if self.how is None else Origin.MEASURED


def paper() -> list[Cell]:
    """The paper's cells, in its order."""
    table = json.loads((importlib.resources.files("dsmath.report") / "table5.json").read_text(encoding="utf-8"))
    return [_paper_cell(row, benchmark) for row in table["rows"] for benchmark in BENCHMARKS if row[benchmark]]


def _paper_cell(row: dict[str, Any], benchmark: str) -> Cell:
    size = _size(benchmark)
    low, high = wilson(round(row[benchmark] / 100 * size), size)
    return Cell(
        section=row["mode"],
        access=row["access"],
        system=row["system"],
        size_b=row["size_b"],
        benchmark=benchmark,
        accuracy=row[benchmark],
        low=100 * low,
        high=100 * high,
        n=size,
        size=size,
        remark="maj@32" if benchmark in row.get("maj@32", ()) else None,
        how=None,
    )


def _size(benchmark: str) -> int:
    size = catalogue.find(benchmark).size
    assert size is not None  # the table's benchmarks are published
    return size


def measured(summaries: list[dict[str, Any]]) -> list[Cell]:
    """The cells of the summaries that are on the table's benchmarks."""
    return [_measured_cell(summary) for summary in summaries if summary["suite"] in BENCHMARKS]


def _measured_cell(summary: dict[str, Any]) -> Cell:
    low, high = summary["interval"]
    problems = summary.get("problems", summary["n"])
    settings = summary.get("settings", {})
    asked_as = roster.SYSTEMS.get(settings.get("system"))
    system = asked_as if asked_as and _is_it(asked_as, settings) else None
    name = summary["checkpoint"] + (f", asked as {asked_as.title}" if asked_as else "")
    return Cell(
        section=_SECTION_OF[summary["mode"]],
        access=_access(system, settings),
        system=system.title if system else name,
        size_b=None,
        benchmark=summary["suite"],
        accuracy=summary["accuracy"],
        low=low,
        high=high,
        n=problems,
        size=_size(summary["suite"]),
        remark=_remark(summary, problems),
        how=How(
            mode=summary["mode"],
            step=summary["step"],
            checkpoint=summary["checkpoint"],
            template=summary["template"] or "not recorded",
            protocol=summary["protocol"],
            grader=summary["grader"],
            sandbox=", ".join(summary["sandbox"]),
            settings=details.settings(summary),
        ),
    )


def _remark(summary: dict[str, Any], problems: int) -> str | None:
    """What a figure has to be read with: several samples, and responses that weren't the model's fault."""
    remarks = [f"mean of {summary['n'] / problems:.0f} samples"] if problems < summary["n"] else []
    counts = {outcome: summary.get("outcomes", {}).get(outcome.value) for outcome in NOT_ANSWERED}
    remarks += [f"{count:,} {outcome.value}" for outcome, count in counts.items() if count]
    return ", ".join(remarks) or None


def _access(system: System | None, settings: dict[str, Any]) -> str:
    if system is not None:
        return "open" if system.weights else "closed"
    return "served" if "server" in settings else "open"


def _is_it(system: System, settings: dict[str, Any]) -> bool:
    """Whether what was evaluated can be the system that it was asked as, and not another model."""
    if system.served is not None:
        return settings.get("model") in (system.served.model, *system.served.models)
    if system.weights is None or "server" in settings:
        return False
    arch = dataclasses.asdict(system.weights.arch)
    sizes = ("hidden_size", "intermediate_size", "num_layers", "num_heads", "num_kv_heads")
    return all(settings.get(f"model.{name}") == arch[name] for name in sizes)


@dataclasses.dataclass(frozen=True)
class _Row:
    """A system's cells by benchmark, how all of them came about, and the number of its note; None for the paper's.

    `state` is the paper's rows' alone.
    """

    section: str
    access: str
    system: str
    size: str
    cells: dict[str, Cell]
    how: How | None
    note: int | None
    state: str

    @property
    def systems(self) -> list[System]:
        """Those of its name, in a mode of its section."""
        return [
            system
            for system in roster.SYSTEMS.values()
            if system.title == self.system and any(_SECTION_OF[mode] == self.section for mode in system.ways)
        ]


def _rows(cells: list[Cell]) -> list[_Row]:
    """By section; the paper's rows in its order, each with ours of the same system under it, then our others."""
    groups: dict[tuple, dict[str, Cell]] = {}
    for cell in cells:
        key = (cell.section, cell.access, cell.system, cell.size_b, cell.how)
        groups.setdefault(key, {})[cell.benchmark] = cell
    notes = itertools.count(1)
    found = []
    titles = list(dict.fromkeys(cell.system for cell in cells if cell.how is None))
    measured = {(cell.section, cell.system) for cell in cells if cell.how}
    for group in sorted(groups.values(), key=lambda group: _place(next(iter(group.values())), titles)):
        cell = next(iter(group.values()))
        note = None if cell.how is None else next(notes)
        size = "" if cell.size_b is None else f"{cell.size_b:g}B"
        row = _Row(cell.section, cell.access, cell.system, size, group, cell.how, note, state="")
        if cell.how is None:
            state = MEASURED if (cell.section, cell.system) in measured else _state(row.systems)
            row = dataclasses.replace(row, state=state)
        found.append(row)
    return found


def _place(cell: Cell, titles: list[str]) -> tuple[int, int, int, bool]:
    nth = titles.index(cell.system) if cell.system in titles else len(titles)
    return list(SECTIONS).index(cell.section), ACCESSES.index(cell.access), nth, cell.how is not None


def _state(systems: list[System]) -> str:
    return "; ".join(dict.fromkeys(system.state for system in systems)) or "no record"


def _unconfirmed(rows: list[_Row]) -> list[str]:
    """A note on every system of the paper's rows of which something is unconfirmed."""
    systems = dict.fromkeys(system.name for row in rows if row.how is None for system in row.systems)
    found = (roster.SYSTEMS[name] for name in systems)
    return [f"[?] {system.title}: {'; '.join(system.unconfirmed)}" for system in found if system.unconfirmed]


def _notes(rows: list[_Row]) -> list[str]:
    return [
        f"[{row.note}] measured here: checkpoint {how.checkpoint}, mode {how.mode}, step {how.step}, template "
        f"{how.template}, protocol {how.protocol}, grader {how.grader}, sandbox {how.sandbox}"
        + (how.settings and f", {how.settings}")
        for row in rows
        if (how := row.how)
    ]


def _figures(cell: Cell) -> str:
    if cell.origin is Origin.PAPER:
        return f"{cell.accuracy:.1f} ±{(cell.high - cell.low) / 2:.1f}"
    return f"{cell.accuracy:.1f} [{cell.low:.1f}, {cell.high:.1f}]"


def _heads() -> list[str]:
    return [f"{catalogue.find(name).title} (n = {catalogue.find(name).size:,})" for name in BENCHMARKS]


def markdown(cells: list[Cell]) -> str:
    """The table as a page."""
    text = f"""# Table 5

Accuracy in percent. *{Origin.PAPER}*: the figure that the paper prints (DeepSeekMath, arXiv 2402.03300, Table 5), with
half the width of the 95% interval that the size of the test set implies: ±5.5 points on MGSM-zh's 250 problems, where
DeepSeekMath-Instruct stands. *maj@32*: the paper says that this figure took 32 samples. **{Origin.MEASURED}**: from the
journals of this folder, with its own 95% interval and the number of problems done; the notes under the table say how.
`-`: not reported, or not measured.

*State* says of a row of the paper's whether its system can be evaluated here: *measured here*, in the row below; *runs
here on random weights*: its architecture, files, prompt and tools are tested with a small model of random weights, the
released ones are to be brought along (`dsmath evaluate --system NAME --weights FOLDER`); *needs a key*, of the server
that is asked; *retired*: it can't be asked any more. [?]: not everything about it is confirmed, the notes say what.

"""
    header = ["System", "Size", *_heads(), "State"]
    lines = [header, ["---"] * len(header)]
    for (section, access), group in itertools.groupby(_rows(cells), key=lambda row: (row.section, row.access)):
        lines.append([f"**{SECTIONS[section]}, {access}**", *[""] * (len(header) - 1)])
        lines += [
            [_system(row), row.size, *(_markdown_cell(row.cells.get(b)) for b in BENCHMARKS), row.state]
            for row in group
        ]
    text += "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
    notes = _notes(_rows(cells)) or ["Nothing is measured here yet on these four benchmarks."]
    return text + "\n" + "".join(f"- {note}\n" for note in [*notes, *_unconfirmed(_rows(cells))])


def _system(row: _Row) -> str:
    if row.note is not None:
        return f"{row.system} [{row.note}]"
    return f"{row.system} [?]" if any(system.unconfirmed for system in row.systems) else row.system


def _markdown_cell(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    remark = f", {cell.remark}" if cell.remark else ""
    if cell.origin is Origin.PAPER:
        return f"{_figures(cell)} *{cell.origin}*{remark}"
    return f"**{_figures(cell)}** **{cell.origin}**, {cell.n:,} of {cell.size:,}{remark}"


def csv(cells: list[Cell]) -> str:
    """A line per cell, with how it came about. The paper's low and high are what the size of the test set implies."""
    names = [field.name for record in (Cell, How) for field in dataclasses.fields(record) if field.name != "how"]
    states = {(row.section, row.system): row.state for row in _rows(cells) if row.how is None}
    file = io.StringIO()
    writer = csv_format.DictWriter(file, [*names, "origin", "state"], lineterminator="\n")
    writer.writeheader()
    for cell in cells:
        fields = dataclasses.asdict(cell)
        how = fields.pop("how") or {}
        state = MEASURED if how else states[cell.section, cell.system]
        writer.writerow(fields | how | {"origin": cell.origin, "state": state})
    return file.getvalue()


def terminal(cells: list[Cell]) -> Table:
    """The table for a rich console: p marks the paper's cells, m what is measured here."""
    found = _rows(cells)
    caption = "p: paper, ± what the size of its test set implies. m: measured here, problems done.\n"
    caption += "\n".join([*_notes(found), *_unconfirmed(found)])
    table = Table(
        *("System", "Size", *(catalogue.find(name).title for name in BENCHMARKS), "State"),
        title="Table 5: accuracy in %",
        caption=Text(caption),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for (section, access), group in itertools.groupby(found, key=lambda row: (row.section, row.access)):
        table.add_section()
        table.add_row(Text(f"{SECTIONS[section]}, {access}", style="bold"))
        for row in group:
            figures = (_terminal_cell(row.cells.get(name)) for name in BENCHMARKS)
            table.add_row(Text(_system(row)), row.size, *figures, Text(row.state, style="dim"))
    return table


def _terminal_cell(cell: Cell | None) -> Text:
    if cell is None:
        return Text("-", style="dim")
    if cell.origin is Origin.PAPER:
        return Text(f"{_figures(cell)} p{' ' + cell.remark if cell.remark else ''}", style="dim")
    return Text(f"{_figures(cell)} m\n{cell.n} of {cell.size}", style="bold")
