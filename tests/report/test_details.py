"""The sheets beyond accuracy, from summaries as scoring writes them."""

import io

import pytest
from rich.console import Console

from dsmath.report import table
from dsmath.report.details import sheets
from dsmath.runs import Run
from tests.trajectories import program, scored, trajectory, write


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Two runs over four problems, by two samples each in tool mode."""
    workdir = tmp_path_factory.mktemp("run")
    for mode, samples in (("cot", 1), ("tool", 2)):
        trajectories = [
            trajectory(
                f"math-{i}",
                f"\\boxed{{{i + sample + 2}}}",
                **{"suite": "math", "gold": "\\boxed{4}", "mode": mode, "sample": sample},
                meta={"level": f"Level {1 + i % 2}", "type": "Algebra"},
                programs=(program(),) * (mode == "tool"),
            )
            for i in range(4)
            for sample in range(samples)
        ]
        scored(write(workdir, trajectories))
    return workdir


def by_title(workdir):
    return {sheet.title: sheet for sheet in sheets(table.rows(Run(workdir)))}


def test_breakdowns_put_runs_side_by_side(workdir):
    sheet = by_title(workdir)["MATH by level"]
    assert sheet.header == ("Level", "n", "CoT at 500", "TIR at 500")
    assert [row[0] for row in sheet.cells] == ["Level 1", "Level 2"]
    assert sheet.cells[0][1] == "2 / 4"
    assert sheet.cells[0][2].startswith("50.0 [")


def test_samples_have_pass_and_maj_for_each_k(workdir):
    rows = by_title(workdir)["Samples"].cells
    assert [row[4] for row in rows] == ["1", "2"]
    assert rows[1][5].startswith("50.0 [")
    assert all(row[1] == "TIR" for row in rows)


def test_programs_that_a_server_ran_have_no_times(tmp_path):
    for mode, level in (("tool", "server"), ("pot", "L0")):
        one = trajectory("math-1", "4", suite="math", mode=mode, sandbox={"level": level}, programs=(program(),))
        scored(write(tmp_path, [one]))
    rows = {row[1]: row[7:] for row in by_title(tmp_path)["Programs"].cells}
    assert rows["TIR"] == ("", "")
    assert all(" / " in cell for cell in rows["PoT"])


def test_outcomes_and_programs_count_responses(workdir):
    titles = by_title(workdir)
    header, (cot, tool) = titles["Outcomes"].header, titles["Outcomes"].cells
    assert sum(map(int, cot[3:])) == 4
    assert dict(zip(header, tool, strict=True))["wrong after a right program"] == "6"
    assert titles["Programs"].cells[0][3:7] == ("1: 8", "0 of 8", "0 of 0", "8 of 8")


def test_costs_are_summed_over_the_journal(workdir):
    cot, tool = by_title(workdir)["Cost"].cells
    assert cot[3:] == ("12", "6", "2.0", "20.0%", "", "0")
    assert tool[3:] == ("24", "6", "4.0", "20.0%", "", "0")


def test_sheets_without_rows_are_left_out(workdir):
    assert "Graders" not in by_title(workdir)


def test_the_page_holds_what_the_terminal_shows(workdir):
    console = Console(file=io.StringIO(), width=160)
    table.report(Run(workdir), console)
    page, text = (workdir / "report" / "results.md").read_text(), console.file.getvalue()
    for part in (
        "MATH by level",
        "pass@k",
        "wrong after a right program",
        "0.10 / 0.10 / 0.10",
        "4 of 5000, 8 samples",
    ):
        assert part in page
        assert part in text
