"""Scoring and reporting of a run's folder, as a user types it."""

import json
import os
import subprocess
import sys

from dsmath.score import graders
from tests.trajectories import trajectory, write


def dsmath(*args):
    command = [sys.executable, "-m", "dsmath.cli.main", *args, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "120"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_all_graders_then_the_report(tmp_path):
    answers = ("4", "400", "5")
    made = [trajectory(f"gsm8k-{n}", f"\\boxed{{{answer}}}", suite="gsm8k") for n, answer in enumerate(answers)]
    write(tmp_path, made)
    scored, shown = dsmath("score", "--workdir", str(tmp_path), "--grader", "all")
    (summary,) = scored["summaries"]
    assert list(summary["graders"]) == list(graders.GRADERS)
    assert (summary["graders"]["reference"]["correct"], summary["graders"]["strict"]["correct"]) == (2, 1)
    assert "where graders disagree" in shown
    assert "strict, math_verify 400 \\| 4" in (tmp_path / "report" / "graders.md").read_text()
    reported, shown = dsmath("report", "--workdir", str(tmp_path))
    assert reported["results"] == scored["summaries"]
    assert "66.7 [20.8, 93.9] m" in shown
    assert "**measured here**, 3 of 1,319" in (tmp_path / "report" / "table5.md").read_text()
    assert "where graders disagree" in (tmp_path / "report" / "results.md").read_text()
