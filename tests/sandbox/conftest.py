"""Sandboxes and their processes, for the tests of programs and of what runs them."""

import dataclasses
from pathlib import Path

import pytest

from dsmath import config
from dsmath.sandbox.client import Sandbox

LIMITS = config.Sandbox(timeout_s=1.0, memory_mb=512, output_kb=64, workers=2, required_level="L1")


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def quick():
    with Sandbox(dataclasses.replace(LIMITS, timeout_s=0.2, workers=1)) as quick:
        yield quick


def children(command: str) -> list[int]:
    """Processes of ours whose command line holds a text."""
    found = map(int, Path("/proc/thread-self/children").read_text().split())
    return [pid for pid in found if command.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]


def alive(pid: int) -> bool:
    """Whether a process still runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
