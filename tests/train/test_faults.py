"""Each fault, once, at a random step of a real program of two processes: nothing is lost, and the losses stay.

`python -m tests.train.faults` injects each several times, and prints what it came to.
"""

import os
import random
import subprocess
from pathlib import Path

import pytest

from tests.train import faults

PARTS = faults.parts(random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID")))  # the same in all of xdist's processes


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> tuple[Path, Path]:
    """A prepared workdir, and a run of it that nothing interrupts."""
    return faults.begin(tmp_path_factory.mktemp("faults"))


def may_mount(folder: Path) -> bool:
    folder.mkdir()
    try:
        with faults.small_disk(folder):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@pytest.mark.parametrize("part", range(faults.RUNS))
def test_a_run_with_faults_goes_on_to_what_it_would_have_been(part, uninterrupted, tmp_path):
    prepared, whole = uninterrupted
    names = PARTS[part]
    mounted = "full_disk" not in names or may_mount(tmp_path / "disk")
    faults.inject([name for name in names if mounted or name != "full_disk"], whole, prepared, tmp_path / "run")
    if not mounted:
        pytest.skip(f"no full disk: one of its own can't be mounted here (uid {os.getuid()})")
