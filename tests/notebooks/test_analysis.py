"""The notebook runs from top to bottom on the files of a small run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsmath.journal import Journal
from dsmath.score.scoring import ALL
from tests.trajectories import program, scored, trajectory, write

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "analysis.ipynb"

# Runs the code cells as one program and lists the titles of the figures that it drew, then whatever was displayed.
RUN = """
import json, sys
import IPython.display
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
shown, titles = [], []
IPython.display.display = lambda *values: shown.extend(getattr(value, "data", str(value)) for value in values)
plt.show = lambda: titles.extend(axis.get_title() or axis.get_ylabel() for n in plt.get_fignums() for axis in plt.figure(n).axes)
namespace = {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), cell["id"], "exec"), namespace)
print(json.dumps({"titles": titles, "shown": shown}))
"""  # noqa: E501

RESPONSE = "So <b>far</b>:\n```python\nprint(4)\n```\n```output\n4\n```\nThe answer is \\boxed{{{}}}."


def of_problem(number, mode, answer, *, sample=0):
    return trajectory(
        f"math-{number}",
        RESPONSE.format(answer),
        **{"suite": "math", "gold": "It is $\\boxed{4}$.", "mode": mode, "sample": sample, "step": 30},
        meta={"level": f"Level {1 + number % 2}", "type": ["Algebra", "Geometry"][number // 2]},
        programs=(program(),) if mode == "tool" else (),
    )


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Metrics of 30 steps, chain of thought with two samples, tools by all graders; four problems."""
    workdir = tmp_path_factory.mktemp("run")
    with Journal(workdir / "metrics.jsonl") as journal:
        for step in range(1, 31):
            journal.append({"step": step, "loss": 2 / step, "grad_norm": 1.0, "tokens_per_second": 900.0 + step})
    cot = [of_problem(n, "cot", 4 if sample else n + 1, sample=sample) for n in range(4) for sample in range(2)]
    tool = [of_problem(n, "tool", answer) for n, answer in enumerate(("4", "400", "5", ""))]
    scored(write(workdir, cot))
    scored(write(workdir, tool), ALL)
    return workdir


@pytest.fixture(scope="module")
def ran(workdir):
    """What the notebook draws and displays."""
    environment = os.environ | {"DSMATH_WORKDIR": str(workdir), "PYTHONPATH": str(NOTEBOOK.parents[1])}
    command = [sys.executable, "-c", RUN, str(NOTEBOOK)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_it_draws_training_breakdowns_and_samples(ran):
    expected = ("loss", "norm of the gradient", "tokens per second", "MATH by level", "MATH by subject", "MATH CoT 30")
    assert set(expected) <= set(ran["titles"])


def test_it_shows_disagreements_table_5_and_transcripts(ran):
    text = "\n".join(ran["shown"])
    assert "**MATH TIR at 30: where graders disagree**" in text
    assert "73.2 ±5.5 *paper*" in text
    assert "**measured here**, 4 of 5,000" in text
    assert "```python\nprint(4)\n```\n```output\n4\n```" in text
    assert "wrong after a right program" in text


def test_it_is_committed_without_outputs_and_defines_nothing():
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    lines = [line for cell in cells for line in cell["source"]]
    assert not any(line.startswith(("def ", "class ", "import jax", "from jax")) for line in lines)
