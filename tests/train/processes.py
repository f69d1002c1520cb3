"""Real training processes, several of which make one program: started, looked at, ended."""

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

from dsmath import journal
from tests.conftest import ROOT
from tests.several import environments

TINY = str(ROOT / "tests" / "cli" / "tiny.py")
TIMES = ("seconds", "tokens_per_second", "trained_tokens_per_second", "under_way_s", "goodput")
DEVICES = 4  # in all, however many processes share them
ENDED_WITHIN_S = 400  # far more than it takes: what hangs fails


def prepare(workdir: Path) -> Path:
    """A workdir with the training set of TINY."""
    command = [sys.executable, "-m", "dsmath.cli.main", "prepare", "--config", TINY, "--workdir", str(workdir)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return workdir


@dataclasses.dataclass
class Program:
    """The processes of one `dsmath train`."""

    workdir: Path
    processes: list[subprocess.Popen]

    def wait(self) -> list[int]:
        """Their exit codes, by index."""
        return [process.wait(ENDED_WITHIN_S) for process in self.processes]

    def said(self, index: int) -> str:
        """What a process wrote on stderr."""
        return stderr_of(self.workdir, index).read_text()

    def wait_for_step(self, step: int) -> None:
        """Until the metrics have that many lines, or a process has ended."""
        path = self.workdir / "metrics.jsonl"
        while not (path.exists() and path.read_bytes().count(b"\n") >= step):
            if any(process.poll() is not None for process in self.processes):
                break
            time.sleep(0.001)

    def kill(self) -> None:
        """End what still runs."""
        for process in self.processes:
            process.kill()
            process.wait()


def start(workdir: Path, processes: int, *flags: str, main: str = "dsmath.cli.main", **environment: str) -> Program:
    """`dsmath train` on so many processes, which share DEVICES virtual devices. `main` is the module that is run."""
    command = [sys.executable, "-m", main, "train", "--config", TINY, "--workdir", str(workdir), *flags]
    command += ["--config.mesh.fsdp=-1", "--config.train.batch_rows=8"]
    started = []
    for index, own in enumerate(environments(processes, devices=DEVICES // processes)):
        with stderr_of(workdir, index).open("w") as stderr:
            started.append(
                subprocess.Popen(command, cwd=ROOT, env=own | environment, stdout=subprocess.DEVNULL, stderr=stderr)
            )
    return Program(workdir, started)


def stderr_of(workdir: Path, index: int) -> Path:
    """Beside the workdir, whose disk may be full."""
    return workdir.with_name(f"{workdir.name}.stderr-{index}")


def metrics(workdir: Path) -> list[dict]:
    """The metrics but for timings."""
    records = journal.read(workdir / "metrics.jsonl")
    return [{name: value for name, value in record.items() if name not in TIMES} for record in records]
