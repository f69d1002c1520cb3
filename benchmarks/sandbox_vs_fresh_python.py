"""Programs per second and latency of the sandbox against two other ways of running a model's programs.

    python benchmarks/sandbox_vs_fresh_python.py --data_dir D [--programs 1318] [--rounds 5] [--concurrency 2]

`fresh`: an interpreter per program in a session of its own, with RLIMIT_AS and a timer that kills the group (the way of
NeMo-Skills; started without `site`, which is the fastest it can be). `pool`: worker processes that `exec` programs with
stdout captured and an alarm (the way of the DeepSeekMath authors, ToRA and Qwen2.5-Math). `unlocked`: the sandbox
without Landlock and seccomp, for what these cost. Programs are the published GSM8K ones, run by as many callers as
`concurrency` says, each of which waits for one program at a time; then one at a time, and the SymPy ones one at a time.
All ways take turns in one process, in an order that rotates; figures are medians of the rounds.
"""

import argparse
import concurrent.futures
import contextlib
import io
import json
import multiprocessing
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dsmath import config
from dsmath.sandbox import levels
from dsmath.sandbox.client import Sandbox

TIMEOUT_S, MEMORY_MB = 10.0, 512
HANGING = "import time\nwhile True: time.sleep(1)"
HANGING_S, HANGS = 0.5, 20  # limit, programs

Run = Callable[[str], str]  # a program to what it printed


def run_fresh(code: str) -> str:
    """An interpreter for one program."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-s", "-B", "-c", code],
        env={"PYTHONPATH": os.pathsep.join(levels.site_folders())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_limit_memory,
    )
    try:
        stdout, _ = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, _ = process.communicate()
    return stdout.decode()


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MB << 20,) * 2)


def run_here(code: str) -> str:
    """A program in this process; what it printed, or nothing if it failed."""
    signal.signal(signal.SIGALRM, _time_out)
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(code, {"__name__": "__main__"})
    except (Exception, SystemExit):  # noqa: BLE001  a program may raise anything
        return ""
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return printed.getvalue()


def _time_out(*_: object) -> None:
    raise TimeoutError


def turn(run: Run, codes: list[str], callers: int) -> tuple[list[str], list[float], float]:
    """What the programs printed, the seconds that each took its caller, and all seconds."""

    def timed(code: str) -> tuple[str, float]:
        begun = time.perf_counter()
        printed = run(code)
        return printed, time.perf_counter() - begun

    begun = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(callers) as pool:
        results = list(pool.map(timed, codes))
    total_s = time.perf_counter() - begun
    return [printed for printed, _ in results], [seconds for _, seconds in results], total_s


def compare(ways: dict[str, Run], rows: list[dict[str, str]], *, callers: int, rounds: int, what: str) -> None:
    """Let the ways take turns, and print a line for each."""
    codes, recorded = [row["code"] for row in rows], [row["output"] for row in rows]
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    p50s, p99s, same = ({name: [] for name in ways} for _ in range(3))
    names = list(ways)
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            printed, seconds, total_s = turn(ways[name], codes, callers)
            speeds[name].append(len(codes) / total_s)
            p50s[name].append(1000 * statistics.median(seconds))
            p99s[name].append(1000 * statistics.quantiles(seconds, n=100)[98])
            same[name].append(sum(p.strip() == r for p, r in zip(printed, recorded, strict=True)))
    print(f"{what}: {len(rows)} programs, {callers} at a time, {rounds} rounds")
    for name in names:
        ratio = statistics.median(a / b for a, b in zip(speeds[name], speeds["fresh"], strict=True))
        print(
            f"  {name:9} {statistics.median(speeds[name]):7.0f} programs/s ({ratio:.2f}x fresh), "
            f"p50 {statistics.median(p50s[name]):.2f} ms, p99 {statistics.median(p99s[name]):.2f} ms, "
            f"as recorded {min(same[name])} of {len(rows)}",
            flush=True,
        )
    if "unlocked" in ways:
        costs = [1 - a / b for a, b in zip(speeds["sandbox"], speeds["unlocked"], strict=True)]
        print(f"  lockdown costs {statistics.median(costs):.1%} of the programs per second", flush=True)


def overrun() -> None:
    """Print how long past their limit programs that wait for nothing are ended, one at a time."""
    limits = config.Sandbox(HANGING_S, MEMORY_MB, output_kb=64, workers=1, required_level="L1")
    with Sandbox(limits) as sandbox:
        sandbox.run("pass")
        _, seconds, _ = turn(lambda code: sandbox.run(code).stdout, [HANGING] * HANGS, 1)
    late_ms = sorted(1000 * (s - HANGING_S) for s in seconds)
    print(f"overrun past a limit of {HANGING_S} s: p50 {statistics.median(late_ms):.1f} ms, most {late_ms[-1]:.1f} ms")


def read(path: Path, most: int) -> list[dict[str, str]]:
    """The programs of a file that printed an answer when they were published."""
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    return [row for row in rows if "Error" not in row["output"]][:most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--programs", type=int, default=1318, help="GSM8K programs at most")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=2)
    args = parser.parse_args()

    gsm8k = read(args.data_dir / "programs" / "gsm8k_model_programs.jsonl", args.programs)
    sympy = read(args.data_dir / "programs" / "sympy_model_programs.jsonl", args.programs)
    limits = config.Sandbox(TIMEOUT_S, MEMORY_MB, output_kb=64, workers=args.concurrency, required_level="L1")
    unlocked = config.Sandbox(TIMEOUT_S, MEMORY_MB, output_kb=64, workers=args.concurrency, required_level="L0")
    with (
        Sandbox(limits) as locked,
        Sandbox(unlocked, lock_down=False) as open_,
        concurrent.futures.ProcessPoolExecutor(args.concurrency, multiprocessing.get_context("spawn")) as workers,
    ):
        ways: dict[str, Run] = {
            "fresh": run_fresh,
            "pool": lambda code: workers.submit(run_here, code).result(),
            "unlocked": lambda code: open_.run(code).stdout,
            "sandbox": lambda code: locked.run(code).stdout,
        }
        for run in ways.values():
            turn(run, [row["code"] for row in sympy[:4]], args.concurrency)  # starts zygotes and workers
        compare(ways, gsm8k, callers=args.concurrency, rounds=args.rounds, what="GSM8K")
        compare(ways, gsm8k[:200], callers=1, rounds=args.rounds, what="GSM8K")
        compare(ways, sympy, callers=1, rounds=args.rounds, what="SymPy")
    overrun()


if __name__ == "__main__":
    main()
