"""The sandbox under load: what many programs leave behind, and how late those that hang are ended.

    python benchmarks/sandbox_load.py [--programs 100000] [--workers 2] [--hanging 100]

First `programs` programs, one after the other through `workers` places: ordinary ones, and every tenth fails, floods
its output, starts threads or fills its memory. Memory, descriptors and processes are those of this process and of all
that it started; files are those in the working folder, in /dev/shm, and the sandbox's own in the
temporary folder. Then `2 * hanging` programs at a time, every second of which waits for ever.
"""

import argparse
import collections
import concurrent.futures
import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path

from dsmath import config
from dsmath.records import Exit
from dsmath.sandbox.client import Sandbox

ORDINARY = "print(sum(k * {i} for k in range(100)))"
ODD = (
    "raise ValueError({i})",
    "print('x' * 100_000)",
    "import threading\nfor _ in range(8): threading.Thread(target=print, args=({i},)).start()",
    "x = bytearray(1 << 30)",
    "import os\nos.closerange(0, 64)",
    "import sympy\nprint(sympy.Integer({i}) * 4950)",
)
REPORTS = 5
LIMIT_S = 2.0


def tree() -> list[int]:
    """This process and all that it started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def held() -> dict[str, float]:
    """What there is of memory, descriptors, processes and files."""
    pids = tree()
    resident = sum(int(Path(f"/proc/{pid}/smaps_rollup").read_text().split("Pss:")[1].split()[0]) for pid in pids)
    files = [*Path(tempfile.gettempdir()).glob("dsmath*"), *Path("/dev/shm").iterdir(), *Path.cwd().iterdir()]
    return {
        "memory MB": round(resident / 1024, 1),
        "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        "processes": len(pids),
        "files": len(files),
    }


def run_in_a_row(sandbox: Sandbox, programs: int) -> None:
    """Run them, and print what is held in between."""

    def code(i: int) -> str:
        return (ODD[i // 10 % len(ODD)] if i % 10 == 9 else ORDINARY).format(i=i)

    for i in range(len(ODD) * 10):  # starts both zygotes, and fills pools of memory
        sandbox.run(code(i))
    print(f"before: {settled(sandbox)}", flush=True)
    wrong, exits, begun = 0, collections.Counter(), time.perf_counter()
    pending: collections.deque[tuple[int, concurrent.futures.Future]] = collections.deque()
    report_at = {programs * (k + 1) // REPORTS for k in range(REPORTS)}
    for i in range(programs):
        pending.append((i, sandbox.submit(code(i))))
        if len(pending) > 2 * sandbox.limits.workers or i + 1 in report_at:
            for number, future in itertools.islice(list(pending), len(pending) if i + 1 in report_at else 1):
                ran = future.result()
                exits[ran.exit.value] += 1
                wrong += number % 10 != 9 and ran.stdout != f"{4950 * number}\n"
                pending.popleft()
        if i + 1 in report_at:
            seconds = time.perf_counter() - begun
            print(f"{i + 1} programs, {(i + 1) / seconds:.0f}/s, {wrong} wrong: {settled(sandbox)}", flush=True)
    print(f"exits: {dict(exits)}")


def settled(sandbox: Sandbox) -> dict[str, float]:
    """What is held once the spare children are there again."""
    sandbox.run("pass")
    time.sleep(0.5)
    return held()


def run_at_a_time(hanging: int) -> None:
    """Run twice as many programs at a time, half of which wait; print how late these are ended."""
    limits = config.Sandbox(LIMIT_S, 256, output_kb=64, workers=2 * hanging, required_level="L1")
    ends: dict[concurrent.futures.Future, float] = {}
    with Sandbox(limits) as sandbox:
        sandbox.run("pass")
        begun = time.perf_counter()
        waiting = [sandbox.submit("import time\ntime.sleep(1000)") for _ in range(hanging)]
        good = [sandbox.submit(ORDINARY.format(i=i)) for i in range(hanging)]
        for future in concurrent.futures.as_completed(waiting + good):
            ends[future] = time.perf_counter() - begun
    right = sum(future.result().stdout == f"{4950 * i}\n" for i, future in enumerate(good))
    timeouts = sum(future.result().exit is Exit.TIMEOUT for future in waiting)
    own_ms = sorted(1000 * (future.result().wall_s - LIMIT_S) for future in waiting)
    all_ms = sorted(1000 * (ends[future] - LIMIT_S) for future in waiting)
    print(
        f"{2 * hanging} at a time, {hanging} of which wait: {right} right answers, the last after "
        f"{1000 * max(ends[future] for future in good):.0f} ms; {timeouts} timeouts, after {LIMIT_S} s and "
        f"p50 {statistics.median(own_ms):.0f} ms, at most {own_ms[-1]:.0f} ms; "
        f"from the first submit, all results within {all_ms[-1]:.0f} ms after it"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hanging", type=int, default=100)
    args = parser.parse_args()
    limits = config.Sandbox(LIMIT_S, 256, output_kb=64, workers=args.workers, required_level="L1")
    with Sandbox(limits) as sandbox:
        run_in_a_row(sandbox, args.programs)
    print(f"closed: {held()}", flush=True)
    run_at_a_time(args.hanging)
    print(f"closed: {held()}")


if __name__ == "__main__":
    main()
