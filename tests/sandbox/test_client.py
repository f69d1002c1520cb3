"""What runs programs: side by side, cancelled, closed, killed, refused; with real processes."""

import concurrent.futures
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from dsmath.error import UserError
from dsmath.records import Exit
from dsmath.sandbox.client import AHEAD, Sandbox
from tests.sandbox.conftest import LIMITS, alive, children


def test_programs_run_side_by_side(sandbox):
    code = "import time\nprint(time.monotonic())\ntime.sleep(0.5)\nprint(time.monotonic())"
    futures = [sandbox.submit(code) for _ in range(2)]
    (start1, end1), (start2, end2) = ([float(t) for t in future.result().stdout.split()] for future in futures)
    assert start1 < end2
    assert start2 < end1


def test_more_threads_than_allowed_end_a_program(sandbox):
    code = (
        "import threading, time\nthreading.stack_size(32768)\n"
        "for _ in range(200): threading.Thread(target=time.sleep, args=(5,)).start()\n"
    )
    assert sandbox.run(code).exit is Exit.MEMORY


def test_cancelling_kills(sandbox):
    futures = [sandbox.submit("import time\ntime.sleep(60)") for _ in range(6)]
    time.sleep(0.1)
    assert all(future.cancel() for future in futures)
    start = time.monotonic()
    assert sandbox.run("print(1)").stdout == "1\n", "there is room again"
    assert time.monotonic() - start < 0.9, "before any of them would have timed out"
    concurrent.futures.wait(futures, timeout=5)
    assert all(future.cancelled() for future in futures)


def test_cancelling_before_a_program_has_started_hurts_no_other():
    with Sandbox(LIMITS) as sandbox:
        victim = sandbox.submit("import time\ntime.sleep(0.6)\nprint('well')")
        for _ in range(40):
            sandbox.submit("print(1)").cancel()
        assert victim.result().stdout == "well\n"


def test_a_program_too_large_for_its_memory_is_out_of_memory_and_hurts_no_other(sandbox):
    with Sandbox(dataclasses.replace(LIMITS, memory_mb=16)) as small:
        victim = small.submit("import time\ntime.sleep(0.6)\nprint('well')")
        assert [small.run("#" * (24 << 20)).exit for _ in range(7)] == [Exit.MEMORY] * 7
        assert victim.result().stdout == "well\n"


def test_a_callback_may_run_programs(sandbox):
    later = []
    done = threading.Event()

    def go_on(_):
        later.append(sandbox.submit("print(2)"))
        done.set()

    sandbox.submit("print(1)").add_done_callback(go_on)
    assert done.wait(5)
    assert later[0].result().stdout == "2\n"


def test_close_kills_what_runs_and_cancels_what_waits():
    others = children("dsmath.sandbox.zygote")
    sandbox = Sandbox(dataclasses.replace(LIMITS, timeout_s=60.0, workers=1))
    running = sandbox.submit("import time\ntime.sleep(100)")
    waiting = sandbox.submit("print(1)")
    time.sleep(0.1)
    zygotes = set(children("dsmath.sandbox.zygote")) - {*others}
    assert zygotes
    start = time.monotonic()
    sandbox.close()
    assert time.monotonic() - start < 5
    assert running.result().exit is Exit.SANDBOX
    with pytest.raises(concurrent.futures.CancelledError):
        waiting.result(timeout=0)
    assert not any(map(alive, zygotes))
    sandbox.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_dead_zygote_fails_its_programs_and_is_replaced(number):
    others = children("dsmath.sandbox.zygote")
    with Sandbox(LIMITS) as sandbox:
        running = [sandbox.submit("import time\ntime.sleep(60)") for _ in range(2)]
        waiting = [sandbox.submit("print(1)") for _ in range(3)]
        time.sleep(0.1)
        (zygote,) = set(children("dsmath.sandbox.zygote")) - {*others}
        os.kill(zygote, number)
        assert [future.result(timeout=10).exit for future in running] == [Exit.SANDBOX] * 2
        assert [future.result(timeout=10).stdout for future in waiting] == ["1\n"] * 3


def test_a_sandbox_that_does_not_start_says_so(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UserError, match=r"the sandbox does not start here at L1: .*; dsmath doctor"):
        Sandbox(LIMITS)


def test_no_status_of_a_program_passes_for_a_failure_of_the_sandbox(sandbox):
    codes = "\n".join(f"quit({status})" for status in range(256)).split("\n")
    futures = [sandbox.submit(code) for code in codes[::16]]
    assert all(f.result().exit is not Exit.SANDBOX for f in futures)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("workers", 0, r"config\.sandbox\.workers is 0; expected more than 0"),
        ("workers", 100_000, r"config\.sandbox\.workers is 100000; expected at most"),
        ("memory_mb", 4, r"config\.sandbox\.memory_mb is 4; expected at least 16"),
        ("required_level", "L9", r"config\.sandbox\.required_level is 'L9'; expected one of: L0, L1"),
    ],
)
def test_limits_are_checked(name, value, words):
    with pytest.raises(UserError, match=words):
        Sandbox(dataclasses.replace(LIMITS, **{name: value}))


def test_what_contains_programs_is_recorded(sandbox):
    recorded = sandbox.level
    assert recorded["level"] == "L1"
    assert recorded["landlock_abi"] >= 1
    assert recorded["uid"] == os.geteuid()
    assert recorded.items() >= dataclasses.asdict(LIMITS).items()


@pytest.mark.parametrize("code", ["while True: pass", "import time\ntime.sleep(100)"])
def test_nothing_outlives_a_killed_parent(code):
    script = (
        "import pathlib, threading, time\nfrom dsmath import config\nfrom dsmath.sandbox.client import Sandbox\n"
        "limits = config.Sandbox(timeout_s=60.0, memory_mb=512, output_kb=64, workers=1, required_level='L1')\n"
        f"sandbox = Sandbox(limits)\nsandbox.submit({code!r})\ntime.sleep(0.2)\n"
        "zygote = pathlib.Path('/proc/thread-self/children').read_text().strip()\n"
        "print(zygote, pathlib.Path(f'/proc/{zygote}/task/{zygote}/children').read_text(), flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) >= 2, "a zygote and its children"
        assert all(map(alive, pids))
        parent.kill()
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, pids))


def test_many_programs_are_read_a_bounded_number_ahead_and_come_back_in_order(sandbox):
    read = []

    def codes():
        for i in range(60):
            read.append(i)
            yield i, f"print({i})"

    for n, (i, ran) in enumerate(sandbox.in_order(codes()), 1):
        assert (i, ran.stdout) == (n - 1, f"{i}\n")
        assert len(read) <= n + AHEAD * LIMITS.workers
