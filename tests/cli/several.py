"""`dsmath evaluate` as several real processes that make one program, each with two virtual devices."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

ENDED_WITHIN_S = 400  # far more than it takes: what hangs fails


def start(workdir: Path, processes: int, *flags: str, main: str = "dsmath.cli.main") -> list[subprocess.Popen]:
    """Its processes. `main` is the module that is run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", main, "evaluate", "--workdir", str(workdir), "--json", *flags]
    shared = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    several = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": str(processes)}
    started = []
    for index in range(processes):
        own = shared | (several | {"JAX_PROCESS_ID": str(index)} if processes > 1 else {})
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=ROOT, env=own, **pipes))
    return started


def ended(process: subprocess.Popen) -> tuple[int, list[str], list[str]]:
    """Its exit code, and the lines of its stdout and stderr."""
    stdout, stderr = process.communicate(timeout=ENDED_WITHIN_S)
    return process.returncode, stdout.splitlines(), stderr.splitlines()
