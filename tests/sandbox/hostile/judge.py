"""Runs hostile programs and reports what they did to the world, judged from outside; a line of JSON per program.

    python -m tests.sandbox.hostile.judge FOLDER [--only NAME ...] [--uncontained] [--level L1] [--workers 4] [--show]

FOLDER is empty; the judge makes it its home, working and temporary folder. The last line is about what can't be put
down to one program. `--uncontained` runs the programs as plain processes, to see that the judge notices.
"""

import argparse
import concurrent.futures
import contextlib
import ctypes
import dataclasses
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from dsmath import config
from dsmath.sandbox.client import Sandbox
from tests.sandbox.hostile import PROGRAMS
from tests.sandbox.hostile.world import World, processes

ENV_SECRET = "DSMATH_HOSTILE_CANARY"
TIMEOUT_S, MEMORY_MB, OUTPUT_KB = 0.5, 256, 64
LATE_S = 1.0  # after the limit, beyond what the machine makes everyone wait
MOST_STALLED_S = 4.0  # that the machine may be blamed for
INTERPRETER_MB = 192  # what a program starts with, at most
SHARED_MB = 32  # that may be left of shared memory, on the whole machine
SAMPLE_S = 0.05

ORDINARY = (
    "import json, math, random, re\nprint(sum(range(9)), json.loads('[1, 2]'), math.sqrt(49), re.sub('a', 'b', 'a'))"
)
ORDINARY_HEAVY = "import sympy, numpy\nprint(sympy.sqrt(8), numpy.arange(4).sum(), sympy.Integer(6) * 7)"
RIGHT = {ORDINARY: "36 [1, 2] 7.0 b\n", ORDINARY_HEAVY: "2*sqrt(2) 6 42\n"}


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a plain process ended; the part of `Ran` that the judge looks at."""

    exit: str
    stdout: str
    stderr: str
    cpu_s: float = 0.0
    peak_bytes: int = 0


class Uncontained:
    """Plain processes with the judge's own rights, in place of a sandbox."""

    def run(self, code: str) -> Ended:
        """One process; at the time limit it alone is killed, and its output is read to the end."""
        command, pipe = [sys.executable, "-c", code], subprocess.PIPE
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
            try:
                outputs = process.communicate(timeout=TIMEOUT_S)
                exit = "ok" if process.returncode == 0 else "error"
            except subprocess.TimeoutExpired:
                process.kill()
                outputs, exit = process.communicate(), "timeout"
        return Ended(exit, *(output.decode(errors="replace") for output in outputs))


class Watch(threading.Thread):
    """Samples the memory of the judge's descendants."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak_mb = 0.0
        self.shared_before_mb = shared_mb()
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(SAMPLE_S):
            for pid in descendants():
                with contextlib.suppress(OSError), open(f"/proc/{pid}/statm") as file:
                    resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
                    self.peak_mb = max(self.peak_mb, resident)


def shared_mb() -> float:
    """Shared memory and files in memory, on the whole machine."""
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("Shmem:"))


def descendants() -> list[int]:
    """All live processes that the judge, or a process of its, started; the dead ones' children come to the judge."""
    table = processes()
    found, todo = [], [os.getpid()]
    while todo:
        parent = todo.pop()
        children = [pid for pid, (_, state, ppid) in table.items() if ppid == parent and state != "Z"]
        found += children
        todo += children
    return found


def stalled_s() -> float:
    """Seconds in which some process of the machine waited for a processor, ever; the time where that isn't counted."""
    try:
        with open("/proc/pressure/cpu") as file:
            return int(file.readline().rsplit("=", 1)[1]) / 1e6
    except OSError:
        return time.monotonic()


def judge(name: str, index: int, sandbox: Any, home: Path, show: bool) -> dict[str, Any]:
    """Run one program and the ordinary one after it; the record."""
    program = PROGRAMS[name]
    with contextlib.closing(World(index, home, os.environ[ENV_SECRET])) as world:
        code = program.code if program.bare else world.program(program.code)
        stalled, begun = stalled_s(), time.monotonic()
        ran = sandbox.run(code)
        wall_s = time.monotonic() - begun
        stalled = min(stalled_s() - stalled, MOST_STALLED_S)
        breaches = world.breaches(ran.stdout, ran.stderr)
    if wall_s > TIMEOUT_S + LATE_S + stalled:
        breaches.append(
            f"late: {wall_s:.2f} s, where {TIMEOUT_S} s are allowed and the machine stalled {stalled:.2f} s"
        )
    shown = max(len(text.encode("utf-8", "surrogatepass")) for text in (ran.stdout, ran.stderr))
    if shown > 4 * OUTPUT_KB * 1024:  # a byte that is no text is shown as four characters
        breaches.append(f"output: {shown} bytes")
    if ran.exit not in program.exits:
        breaches.append(f"exit: {ran.exit}, expected {' or '.join(program.exits)}")
    heavy = "numpy" in code or "sympy" in code
    for ordinary in (ORDINARY, ORDINARY_HEAVY)[: 1 + heavy]:
        after = sandbox.run(ordinary)
        if (after.exit, after.stdout) != ("ok", RIGHT[ordinary]):
            breaches.append(f"next program: {after.exit} {after.stdout[:200]!r} {after.stderr[-300:]!r}")
    record = {"name": name, "exit": str(ran.exit), "breaches": breaches, "wall_s": round(wall_s, 3)}
    record |= {"overrun_s": round(wall_s - TIMEOUT_S, 3), "cpu_s": ran.cpu_s, "peak_mb": ran.peak_bytes >> 20}
    record |= {"error": ran.stderr[-300:]} | ({"stdout": ran.stdout[-3000:]} if show else {})
    return record


def judge_all(names: list[str], sandbox: Any, home: Path, workers: int, show: bool) -> None:
    """Run programs, `workers` at a time, each in a world of its own; print the records."""
    numbered: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
    for item in enumerate(names):
        numbered.put(item)

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                index, name = numbered.get_nowait()
                say(judge(name, index, sandbox, home, show))

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for worker in [pool.submit(work) for _ in range(workers)]:
            worker.result()


def say(record: dict[str, Any]) -> None:
    """One line in one piece, whoever else writes."""
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def settle(watch: Watch, signals: list[int], files: set[str]) -> list[str]:
    """What is wrong when all programs have ended and the sandbox is closed."""
    watch.stopped.set()
    watch.join()
    breaches = [f"the judge got signal {number}" for number in signals]
    time.sleep(0.3)
    breaches += [f"left process: {pid}" for pid in descendants()]
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    breaches += [f"left file: {path}" for path in sorted(_own_files() - files)]
    if watch.peak_mb > MEMORY_MB + INTERPRETER_MB:
        breaches.append(f"memory: a process of {watch.peak_mb:.0f} MB")
    if (left_mb := shared_mb() - watch.shared_before_mb) > SHARED_MB:
        breaches.append(f"memory: {left_mb:.0f} MB of shared memory are left")
    return breaches


def _own_files() -> set[str]:
    return {os.path.join(folder, name) for folder, _, names in os.walk(os.environ["HOME"]) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--uncontained", action="store_true")
    parser.add_argument("--level", default="L1")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--show", action="store_true", help="the programs' output as well")
    args = parser.parse_args()
    if ENV_SECRET not in os.environ:  # /proc shows the environment that a process was started with
        folder = str(args.folder.resolve())
        own = {ENV_SECRET: "SECRET-" + secrets.token_hex(16), "HOME": folder, "TMPDIR": folder}
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.sandbox.hostile.judge", *sys.argv[1:]], os.environ | own
        )
    home = Path(os.environ["HOME"])
    os.chdir(home)
    if os.getpgid(0) != os.getpid():
        os.setpgid(0, 0)  # what is sent to the group stays here
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: lost children come here
    signals: list[int] = []
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGURG, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: signals.append(number))

    names = args.only or list(PROGRAMS)
    files = _own_files()
    watch = Watch()
    watch.start()
    begun = time.monotonic()
    level = "none"
    if args.uncontained:
        judge_all(names, Uncontained(), home, args.workers, args.show)
    else:
        limits = {"timeout_s": TIMEOUT_S, "memory_mb": MEMORY_MB, "output_kb": OUTPUT_KB, "workers": args.workers}
        with Sandbox(config.Sandbox(**limits, required_level=args.level)) as sandbox:
            level = sandbox.level["level"]
            for ordinary in RIGHT:
                sandbox.run(ordinary)  # starts what serves all programs, on nobody's time
            judge_all(names, sandbox, home, args.workers, args.show)
    breaches = settle(watch, signals, files)
    figures = {"level": level, "user": os.getuid(), "seconds": round(time.monotonic() - begun, 1)}
    figures |= {"peak_mb": round(watch.peak_mb)}
    say({"name": "after all", "exit": "", "breaches": breaches} | figures)


if __name__ == "__main__":
    main()
