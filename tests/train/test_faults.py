"""Each fault, once, at a random step of a real program of two processes: nothing is lost, and the losses stay.

`python -m tests.train.faults` injects each several times, and prints what it came to.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.train import faults


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> tuple[Path, Path]:
    """A prepared workdir, and a run of it that nothing interrupts."""
    return faults.begin(tmp_path_factory.mktemp("faults"))


def may_mount(folder: Path) -> bool:
    try:
        with faults.small_disk(folder):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@pytest.mark.parametrize("name", sorted(faults.FAULTS))
def test_a_run_with_a_fault_goes_on_to_what_it_would_have_been(name, uninterrupted, tmp_path):
    if name == "full_disk" and not may_mount(tmp_path):
        pytest.skip(f"a disk of its own can't be mounted here (uid {os.getuid()})")
    prepared, whole = uninterrupted
    faults.inject(faults.FAULTS[name], whole, prepared, tmp_path / "run")
