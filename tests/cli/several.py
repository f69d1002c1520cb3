"""`dsmath evaluate` as several real processes that make one program, each with two virtual devices."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.several import environments

ENDED_WITHIN_S = 400  # far more than it takes: what hangs fails


def start(workdir: Path, processes: int, *flags: str, main: str = "dsmath.cli.main") -> list[subprocess.Popen]:
    """Its processes. `main` is the module that is run."""
    command = [sys.executable, "-m", main, "evaluate", "--workdir", str(workdir), "--json", *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [subprocess.Popen(command, cwd=ROOT, env=own, **pipes) for own in environments(processes, devices=2)]


def ended(process: subprocess.Popen) -> tuple[int, list[str], list[str]]:
    """Its exit code, and the lines of its stdout and stderr."""
    stdout, stderr = process.communicate(timeout=ENDED_WITHIN_S)
    return process.returncode, stdout.splitlines(), stderr.splitlines()
