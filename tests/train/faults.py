"""Faults of a real training program of two processes, at random steps, and what must hold after each.

    python -m tests.train.faults --times 5

prints a table: how often each was injected, how the processes ended and within how many seconds, how many steps had to
be done again. A run meets several, one after another, and must end with the losses of an uninterrupted one.
tests/train/test_faults.py injects each once.
"""

import argparse
import collections
import contextlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dsmath.model import checkpoint
from dsmath.runs import Run
from tests.train import processes
from tests.train.processes import Program

STEPS = 60
EVERY = 7  # steps between checkpoints
RUNS = 2  # that share the faults
APART = 10  # steps that a program does at most before it meets one
FLAGS = (f"--config.train.steps={STEPS}", f"--config.train.checkpoint_every={EVERY}")
SILENCE_S = 10


class Ended(NamedTuple):
    """How a program ended after a fault."""

    codes: list[int]  # by process
    seconds: float  # from the fault to the end of the last process
    steps: int  # in the metrics
    saved: int  # the step of the last whole checkpoint


def sigterm(workdir: Path) -> Ended:
    """SIGTERM to one process: all save the same step, and end with the code that is tried again."""
    program = started(workdir)
    ended = end(program, lambda: program.processes[random.randrange(2)].terminate())
    assert ended.codes == [75, 75], program.said(0) + program.said(1)
    assert "saved; the same command goes on from there" in program.said(0)
    assert ended.steps == ended.saved
    return ended


def sigkill(workdir: Path) -> Ended:
    """SIGKILL to one process: the other ends with the code that is tried again, and says why."""
    program, victim = started(workdir), random.randrange(2)
    ended = end(program, program.processes[victim].kill)
    assert ended.codes[victim] == -signal.SIGKILL
    assert ended.codes[1 - victim] in (75, -signal.SIGABRT)  # by its own word, or by jax.distributed's
    assert "another of the 2 processes is gone" in program.said(1 - victim) or ended.codes[1 - victim] != 75
    return ended


def cut_off(workdir: Path) -> Ended:
    """SIGKILL to all while a checkpoint is being written: it is never taken for whole."""
    program = started(workdir)

    def kill() -> None:
        while not any("orbax-checkpoint-tmp" in path.name for path in (workdir / "checkpoints").iterdir()):
            assert program.processes[0].poll() is None
        for process in program.processes:
            process.kill()

    ended = end(program, kill)
    assert ended.codes == [-signal.SIGKILL] * 2
    return ended


def silence(workdir: Path) -> Ended:
    """SIGSTOP to one process, as where a machine hangs: the other ends once it was silent for too long."""
    program, victim = started(workdir, HEARTBEAT_S=str(SILENCE_S)), random.randrange(2)

    def hang() -> float:
        begun = time.monotonic()
        program.processes[victim].send_signal(signal.SIGSTOP)
        program.processes[1 - victim].wait(processes.ENDED_WITHIN_S)
        program.processes[victim].kill()
        return begun

    ended = end(program, hang)
    assert ended.codes[1 - victim] not in (0, 2)
    assert program.said(1 - victim)
    return ended


def bad_batch(workdir: Path) -> Ended:
    """A batch that makes the loss NaN: all stop, with the batch kept and nothing of it in a checkpoint."""
    earlier, batch = saved(workdir), random.randint(2, APART)
    step = earlier + batch
    program = processes.start(workdir, 2, *FLAGS, main="tests.train.faulty", FAULTY_BATCH=str(batch))
    ended = end(program, lambda: None)
    assert ended.codes == [2, 2], program.said(0)
    assert f"step {step} has loss nan and gradient norm nan; expected finite numbers" in program.said(0)
    with np.load(Run(workdir).bad_batch) as kept:
        assert kept["step"] == step
        assert np.isnan(kept["weights"]).all()
        assert kept["tokens"].shape[0] == 8
    assert ended.saved == max(earlier, (step - 1) // EVERY * EVERY)
    return ended


def full_disk(workdir: Path) -> Ended:
    """No space is left on a disk of its own: it is said by name, and with space again the same command goes on."""
    program, filler = started(workdir, SAVE_S=str(SILENCE_S)), workdir / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(1 << 12)):
                pass

    ended = end(program, fill)
    filler.unlink()
    assert 2 in ended.codes, program.said(0) + program.said(1)
    words = program.said(ended.codes.index(2)).splitlines()[-1]
    assert words.startswith(f"dsmath train: cannot write {workdir}"), words
    assert "No space left on device" in words
    return ended


FAULTS: dict[str, Callable[[Path], Ended]] = {
    fault.__name__: fault for fault in (sigterm, sigkill, cut_off, silence, bad_batch, full_disk)
}


def parts(shuffler: random.Random) -> list[list[str]]:
    """The faults that each run meets, in their order."""
    order = shuffler.sample(sorted(FAULTS), len(FAULTS))
    return [order[i::RUNS] for i in range(RUNS)]


def started(workdir: Path, **environment: str) -> Program:
    """A program that has gone on for a random number of steps."""
    before = done(workdir)
    program = processes.start(workdir, 2, *FLAGS, main="tests.train.faulty", **environment)
    program.wait_for_step(before + random.randint(1, APART))
    return program


def done(workdir: Path) -> int:
    """Steps in the metrics."""
    return len(processes.metrics(workdir)) if (workdir / "metrics.jsonl").exists() else 0


def saved(workdir: Path) -> int:
    """The step of the last whole checkpoint."""
    return checkpoint.latest_step(Run(workdir)) or 0


def end(program: Program, fault: Callable[[], float | None]) -> Ended:
    """How the program ends after the fault, timed from when that was done, or as the fault says."""
    try:
        begun = fault() or time.monotonic()
        codes = program.wait()
        seconds = time.monotonic() - begun
    finally:
        program.kill()
    return Ended(codes, seconds, done(program.workdir), saved(program.workdir))


def inject(names: Sequence[str], uninterrupted: Path, prepared: Path, workdir: Path) -> list[Ended]:
    """A run with these faults, one after another, gone on with after each: every step once, with the metrics that it
    would have had, to the last bit.
    """
    workdir.mkdir()
    with small_disk(workdir) if "full_disk" in names else contextlib.nullcontext():
        shutil.copytree(prepared, workdir, dirs_exist_ok=True)
        ended = [FAULTS[name](workdir) for name in names]
        program = processes.start(workdir, 2, *FLAGS)
        assert program.wait() == [0, 0], program.said(0) + program.said(1)
        assert [record["step"] for record in processes.metrics(workdir)] == list(range(1, STEPS + 1))
        assert processes.metrics(workdir) == processes.metrics(uninterrupted)
    return ended


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of a few megabytes on an empty folder. Raises CalledProcessError where that isn't permitted."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(folder)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def begin(folder: Path) -> tuple[Path, Path]:
    """A prepared workdir, and a run of it that nothing interrupts."""
    prepared, uninterrupted = processes.prepare(folder / "prepared"), folder / "uninterrupted"
    shutil.copytree(prepared, uninterrupted)
    program = processes.start(uninterrupted, 2, *FLAGS)
    assert program.wait() == [0, 0], program.said(0)
    return prepared, uninterrupted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        prepared, uninterrupted = begin(Path(temporary))
        met: dict[str, list[Ended]] = {name: [] for name in FAULTS}
        for i in range(args.times):
            for part, names in enumerate(parts(random.Random())):
                ends = inject(names, uninterrupted, prepared, Path(temporary) / f"{i}-{part}")
                for name, end_of_it in zip(names, ends, strict=True):
                    met[name].append(end_of_it)
        print(f"{'fault':10} times  {'seconds to the end':19} {'steps done again':17} exit codes")
        for name, ended in met.items():
            seconds = sorted(e.seconds for e in ended)
            again = sorted(e.steps - e.saved for e in ended)
            codes = dict(collections.Counter(str(sorted(e.codes)) for e in ended))
            print(
                f"{name:10} {len(ended):5}  {seconds[0]:5.1f} to {seconds[-1]:5.1f}      "
                f"{again[0]:5} to {again[-1]:5}     {codes}",
                flush=True,
            )


if __name__ == "__main__":
    main()
