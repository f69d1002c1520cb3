"""Stand-ins for gcloud, kubectl, sbatch, srun, sky and the like: programs on the PATH of a script of launch/.

Each writes the command that it was called with to `calls`, quoted as a shell would read it, and does what the script
can tell from the real one. The scripts, their shells, processes and signals are real, and so is what they run on hosts.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAKES = Path(__file__).parent / "fakes"


class Desk:
    """A folder with the stand-ins, from which scripts of launch/ are called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for room in ("bin", "host-bin", "tmp"):
            (folder / room).mkdir()
        for program in FAKES.iterdir():
            room = "host-bin" if program.name == "python3" else "bin"
            if program.name != "record":
                (folder / room / program.name).symlink_to(program)
        self.environment = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "DESK": str(folder),
            "SLURM_JOB_ID": "7",
        }
        self.started: list[subprocess.Popen] = []

    def start(self, script: str, *args: str, **more: str) -> subprocess.Popen:
        """Start a script of launch/, as a process group of its own."""
        process = subprocess.Popen(
            [str(ROOT / "launch" / script), *args],
            env=self.environment | more,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, script: str, *args: str, **more: str) -> subprocess.CompletedProcess:
        """Run a script of launch/ to its end."""
        process = self.start(script, *args, **more)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def paste(self, text: str, **more: str) -> None:
        """Give a shell what a dry run printed, as it stands."""
        line = ["bash", "-s"]
        subprocess.run(
            line, input=text, env=self.environment | more, cwd=self.folder, text=True, check=True, timeout=60
        )

    def say(self, name: str, *lines: object) -> None:
        """What a stand-in answers in turn, the last for ever."""
        (self.folder / name).write_text("".join(f"{line}\n" for line in lines))

    def calls(self, start: str = "") -> list[str]:
        """The commands so far that begin like this, in their order."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(start)]

    def forget(self) -> list[str]:
        """The commands so far, which are forgotten."""
        calls = self.calls()
        (self.folder / "calls").unlink(missing_ok=True)
        return calls

    def wait_for(self, start: str, count: int = 1) -> None:
        """Until so many commands that begin like this were called."""
        deadline = time.monotonic() + 30
        while len(self.calls(start)) < count:
            assert time.monotonic() < deadline, f"no {start!r} in {self.calls()}"
            time.sleep(0.02)


@pytest.fixture
def desk(tmp_path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    for process in desk.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
