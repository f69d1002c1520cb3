"""Table 5: the paper's figures as printed, ours beside them, and every cell says whose it is."""

import csv
import dataclasses
import io
import re

import pytest
from rich.console import Console

from dsmath.report import table5
from dsmath.report.table5 import Origin
from dsmath.systems import roster


def summary(suite="mgsm_zh", mode="tool", **changes):
    return {
        **{"suite": suite, "mode": mode, "step": 500, "checkpoint": "ckpt"},
        **{"template": "chatml", "protocol": "reference"},
        **{"grader": "strict", "sandbox": ["L0"], "n": 250, "accuracy": 71.2, "interval": [65.3, 76.5]},
    } | changes


def lines_of(page, system):
    return [line for line in page.splitlines() if line.startswith(f"| {system}")]


def test_the_papers_cells_are_all_there():
    cells = table5.paper()
    assert len(cells) == 73
    assert len({(cell.section, cell.system) for cell in cells}) == 26
    figures = {(c.section, c.benchmark): c.accuracy for c in cells if c.system == "DeepSeekMath-Instruct"}
    assert figures == {
        **{("cot", "gsm8k"): 82.9, ("cot", "math"): 46.8, ("cot", "mgsm_zh"): 73.2, ("cot", "cmath"): 84.6},
        **{("tir", "gsm8k"): 83.7, ("tir", "math"): 57.4, ("tir", "mgsm_zh"): 72.0, ("tir", "cmath"): 84.3},
    }
    assert {cell.system for cell in cells if cell.remark} == {"Gemini Ultra", "Gemini Pro"}


def test_the_papers_cells_carry_the_interval_of_their_test_set():
    (cot,) = (line for line in lines_of(table5.markdown(table5.paper()), "DeepSeekMath-Instruct") if "73.2" in line)
    assert "73.2 ±5.5 *paper*" in cot
    assert "46.8 ±1.4 *paper*" in cot


def test_every_cell_says_whose_it_is():
    page = table5.markdown([*table5.paper(), *table5.measured([summary(), summary("gsm8k", "cot", n=100)])])
    cells = [cell for line in page.splitlines() if line.startswith("| ") for cell in line.split(" | ")[2:]]
    figures = [cell for cell in cells if re.search(r"\d\.\d", cell)]
    assert len(figures) == 75
    assert all(("*paper*" in cell) != ("**measured here**" in cell) for cell in figures)
    assert sum("measured here" in cell for cell in figures) == 2


def test_our_rows_stand_in_their_section_and_notes_say_how_they_came_about():
    page = table5.markdown([*table5.paper(), *table5.measured([summary(n=100), summary("gsm8k", "cot", n=1319)])])
    order = [line.split(" |")[0] for line in page.splitlines() if line.startswith("| ")]
    ours = [order.index("| ckpt [1]"), order.index("| ckpt [2]")]
    assert order.index("| DeepSeekMath-RL") < ours[0] < order.index("| **Tools and programs, closed**") < ours[1]
    assert "**71.2 [65.3, 76.5]** **measured here**, 100 of 250" in page
    assert "measured here**, 1,319 of 1,319" in page
    how = "checkpoint ckpt, mode tool, step 500, template chatml, protocol reference, grader strict, sandbox L0"
    assert f"[2] measured here: {how}" in page


def test_runs_that_differ_in_anything_get_rows_of_their_own():
    same = [summary(), summary("cmath")]
    others = [
        summary(grader="reference"),
        summary(protocol="strict"),
        summary(template="x"),
        summary(step=0),
        summary(mode="pot"),
    ]
    assert len(lines_of(table5.markdown(table5.measured(same)), "ckpt")) == 1
    assert len(lines_of(table5.markdown(table5.measured(same + others)), "ckpt")) == 6


def test_other_suites_stay_out_and_an_empty_table_says_so():
    assert table5.measured([summary("embedded")]) == []
    assert "Nothing is measured here" in table5.markdown(table5.paper())


def test_a_row_of_the_papers_says_what_it_takes_to_measure_it():
    rows = list(csv.DictReader(io.StringIO(table5.csv(table5.paper()))))
    states = {row["system"]: row["state"] for row in rows}
    assert states["WizardMath-v1.1"] == "runs here on random weights"


def asked_as_wizardmath(**sizes):
    arch = dataclasses.asdict(roster.find("wizardmath-7b-v1.1").weights.arch) | sizes
    settings = {"system": "wizardmath-7b-v1.1"} | {f"model.{name}": value for name, value in arch.items()}
    return summary("gsm8k", "cot", checkpoint="folder (1a2b)", settings=settings)


def row_of_wizardmath(page):
    """And the line under it."""
    lines = page.splitlines()
    i = next(i for i, line in enumerate(lines) if line.startswith("| WizardMath-v1.1 |"))
    return lines[i], lines[i + 1]


def test_what_is_measured_of_a_system_stands_under_the_papers_row_and_changes_its_state():
    page = table5.markdown([*table5.paper(), *table5.measured([asked_as_wizardmath()])])
    theirs, ours = row_of_wizardmath(page)
    assert theirs.endswith("| measured here |")
    assert ours.startswith("| WizardMath-v1.1 [1] |")
    assert "71.2 [65.3, 76.5]" in ours
    assert "checkpoint folder (1a2b)" in page


def test_another_models_weights_that_are_asked_as_a_system_are_not_the_system():
    page = table5.markdown([*table5.paper(), *table5.measured([asked_as_wizardmath(num_layers=2)])])
    theirs, under = row_of_wizardmath(page)
    assert theirs.endswith("| runs here on random weights |")
    assert "71.2" not in under
    assert "| folder (1a2b), asked as WizardMath-v1.1 [1] |" in page


def test_a_servers_other_model_is_nobodys_row_and_what_it_did_not_answer_is_said():
    settings = {"system": "gpt-4", "server": "http://localhost:8000/v1", "model": "mine"}
    other = summary("gsm8k", "cot", checkpoint="mine", settings=settings, outcomes={"server failed": 40})
    page = table5.markdown([*table5.paper(), *table5.measured([other])])
    assert not any("measured here" in line for line in lines_of(page, "GPT-4"))
    assert "**Chain of thought, served**" in page
    (line,) = lines_of(page, "mine, asked as GPT-4")
    assert "40 server failed" in line
    (line,) = (row for row in table5.measured([other | {"settings": settings | {"model": "gpt-4-0613"}}]))
    assert (line.system, line.access) == ("GPT-4", "closed")


def test_several_samples_are_a_mean_over_problems():
    (cell,) = table5.measured([summary(n=1000, problems=250)])
    assert (cell.n, cell.size, cell.remark) == (250, 250, "mean of 4 samples")


def test_csv_holds_every_cell_with_its_origin():
    cells = [*table5.paper(), *table5.measured([summary()])]
    rows = list(csv.DictReader(io.StringIO(table5.csv(cells))))
    assert [row["origin"] for row in rows].count("paper") == 73
    assert rows[-1]["origin"] == "measured here"
    assert (rows[-1]["protocol"], rows[-1]["grader"], rows[-1]["checkpoint"]) == ("reference", "strict", "ckpt")
    assert float(rows[-1]["high"]) - float(rows[-1]["low"]) == pytest.approx(11.2)


def test_the_terminal_marks_cells_without_colour():
    console = Console(file=io.StringIO(), width=120)
    console.print(table5.terminal([*table5.paper(), *table5.measured([summary()])]))
    text = console.file.getvalue()
    assert "73.2 ±5.5 p" in text
    assert "71.2 [65.3, 76.5] m" in text
    assert "94.4 ±1.2 p maj@32" in text
    assert "[1] measured here: checkpoint ckpt" in text


def test_origins_are_the_two_that_the_page_explains():
    assert [origin.value for origin in Origin] == ["paper", "measured here"]
