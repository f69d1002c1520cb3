"""Programs under limits, with real processes."""

import concurrent.futures
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsmath import config
from dsmath.error import UserError
from dsmath.tool import programs
from dsmath.tool.sandbox import Exit, Sandbox

LIMITS = config.Sandbox(timeout_s=1.0, memory_mb=512, output_kb=64, workers=2)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def quick():
    with Sandbox(config.Sandbox(timeout_s=0.2, memory_mb=512, output_kb=64, workers=1)) as quick:
        yield quick


def alive(pid: int) -> bool:
    """Whether a process still runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_in(folder: str) -> list[int]:
    """The sandboxed processes whose own folder this is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"HOME={folder}\0".encode() in environment:
                found.append(int(entry.name))
    return found


def test_a_program_prints_and_ends(sandbox):
    ran = sandbox.run("print(6 * 7)")
    assert (ran.exit, ran.stdout, ran.stderr, ran.truncated) == (Exit.OK, "42\n", "", False)
    assert 0 < ran.cpu_s < LIMITS.timeout_s
    assert ran.wall_s > 0


def test_a_program_is_main(sandbox):
    ran = sandbox.run(
        "import sys\nif __name__ == '__main__':\n    print(sys.modules['__main__'].__dict__ is globals())"
    )
    assert ran.stdout == "True\n"


def test_numpy_and_sympy_import(sandbox):
    ran = sandbox.run("import numpy, sympy\nprint(numpy.arange(4).sum(), sympy.sqrt(8))")
    assert (ran.exit, ran.stdout) == (Exit.OK, "6 2*sqrt(2)\n"), ran.stderr


def test_this_package_is_not_imported_for_a_program(sandbox):
    assert sandbox.run("import sys\nprint([m for m in sys.modules if m.startswith('dsmath')])").stdout == "[]\n"


def test_tracebacks_show_the_program_alone(sandbox):
    ran = sandbox.run("def f():\n    return 1 / 0\nf()")
    assert ran.exit is Exit.ERROR
    assert ran.stderr == (
        "Traceback (most recent call last):\n"
        '  File "<string>", line 3, in <module>\n'
        '  File "<string>", line 2, in f\n'
        "ZeroDivisionError: division by zero\n"
    )
    ran = sandbox.run("x = (\n")
    assert ran.exit is Exit.ERROR
    assert ran.stderr.startswith('  File "<string>", line 1\n')
    assert "SyntaxError" in ran.stderr


def test_tracebacks_of_forbidden_things_show_the_program_alone(sandbox):
    code = "import os\ntry:\n    os.fork()\nexcept PermissionError as e:\n    raise ValueError('so') from e"
    frames = [line for line in sandbox.run(code).stderr.split("\n") if "File" in line]
    assert frames == ['  File "<string>", line 3, in <module>', '  File "<string>", line 5, in <module>']


def test_what_the_model_sees_of_a_failure_names_no_file_of_ours(sandbox):
    ran = sandbox.run("import statistics\ndef f():\n    return statistics.mean([])\nf()")
    lines = programs.traceback(ran.stderr).split("\n")
    assert lines[0] == "in f"
    assert lines[-1].startswith("statistics.StatisticsError")
    assert "/" not in "".join(lines)
    assert "^" not in "".join(lines)


@pytest.mark.parametrize(
    ("code", "exit"),
    [("exit()", Exit.OK), ("import sys; sys.exit(0)", Exit.OK), ("quit(3)", Exit.ERROR), ("exit('no')", Exit.ERROR)],
)
def test_exit_status(sandbox, code, exit):
    assert sandbox.run(code).exit is exit


def test_a_signal_is_an_error(sandbox):
    assert sandbox.run("import os\nos.abort()").exit is Exit.ERROR


def test_input_fails_at_once(sandbox):
    ran = sandbox.run("input('How many? ')")
    assert ran.exit is Exit.ERROR
    assert "EOFError" in ran.stderr


def test_cpu_time_is_limited_and_partial_output_kept(sandbox):
    ran = sandbox.run("print('before')\nwhile True: pass")
    assert (ran.exit, ran.stdout) == (Exit.TIMEOUT, "before\n")
    assert LIMITS.timeout_s * 0.9 < ran.cpu_s < LIMITS.timeout_s * 1.5


def test_cpu_time_is_limited_where_the_program_ignores_signals(quick):
    ignore = (
        "import signal\nfor s in (signal.SIGPROF, signal.SIGXCPU, signal.SIGALRM): signal.signal(s, signal.SIG_IGN)\n"
    )
    ran = quick.run(ignore + "while True: pass")
    assert ran.exit is Exit.TIMEOUT
    assert ran.cpu_s < 2


def test_waiting_is_ended_by_the_wall_clock_not_by_the_cpu_limit(quick):
    ran = quick.run("import time\ntime.sleep(0.5)\nprint('awake')")
    assert (ran.exit, ran.stdout) == (Exit.OK, "awake\n"), "the wall clock is a generous backstop"
    ran = quick.run("import time\nprint('before')\ntime.sleep(60)")
    assert (ran.exit, ran.stdout) == (Exit.TIMEOUT, "before\n")
    assert ran.wall_s < 10
    assert ran.cpu_s < 0.2


def test_memory_is_limited(sandbox):
    ran = sandbox.run("x = 'a' * (1 << 30)")
    assert ran.exit is Exit.MEMORY
    assert ran.stderr.endswith("MemoryError\n")
    assert sandbox.run("try:\n    x = 'a' * (1 << 30)\nexcept MemoryError:\n    print('caught')").exit is Exit.OK


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_is_limited(sandbox, stream):
    ran = sandbox.run(f"import sys\nwhile True: print('spam', file=sys.{stream})")
    assert (ran.exit, ran.truncated) == (Exit.OUTPUT, True)
    assert len(getattr(ran, stream)) == LIMITS.output_kb * 1024


def test_output_up_to_the_limit_is_whole(sandbox):
    ran = sandbox.run(f"print('x' * {LIMITS.output_kb * 1024 - 1})")
    assert (ran.exit, ran.truncated, len(ran.stdout)) == (Exit.OK, False, LIMITS.output_kb * 1024)


def test_bytes_that_are_no_text_are_shown_escaped(sandbox):
    ran = sandbox.run("import sys\nsys.stdout.buffer.write(b'a\\xff\\x00b')\nprint('\\ud800', '\\u4e2d')")
    assert ran.exit is Exit.OK
    assert ran.stdout == "a\\xff\x00b\\ud800 \u4e2d\n"


def test_a_program_that_is_no_python_is_an_error(sandbox):
    assert sandbox.run("print(1)\0").exit is Exit.ERROR
    assert sandbox.run("'\ud800'.bad").exit is Exit.ERROR


def test_the_environment_is_not_inherited(sandbox, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    ran = sandbox.run("import os\nprint(sorted(os.environ), os.environ['HOME'] == os.getcwd() == os.environ['TMPDIR'])")
    assert "SECRET_TOKEN" not in ran.stdout
    assert "PATH" not in ran.stdout
    assert ran.stdout.endswith("True\n")


def test_descriptors_are_not_inherited(sandbox):
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        ran = sandbox.run("import os\nprint(os.listdir('/proc/self/fd'))")
    finally:
        os.close(read)
        os.close(write)
    assert ran.stdout == "['0', '1', '2', '3']\n", "the last is of the listing itself"


def test_each_program_has_a_folder_of_its_own_that_goes_with_it(sandbox):
    code = "import os\nprint(os.listdir(), os.getcwd())\nos.mkdir('a')\nopen('a/f', 'w').write('x')\nos.chmod('a', 0)"
    first, second = sandbox.run(code), sandbox.run(code)
    for ran in (first, second):
        assert ran.exit is Exit.OK, ran.stderr
        empty, folder = ran.stdout.split()
        assert empty == "[]"
        assert not Path(folder).exists()


def test_files_are_limited_in_size(sandbox):
    ran = sandbox.run("open('f', 'wb').write(bytes(64 << 20))")
    assert ran.exit is Exit.ERROR
    assert "File too large" in ran.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import os\nwhile True: os.fork()",
        "import subprocess\nsubprocess.run(['/bin/sleep', '100'])",
        "import os\nos.system('sleep 100')",
        "import os\nos.popen('sleep 100')",
        "import os\nos.execv('/bin/sleep', ['sleep', '100'])",
        "import os\nos.posix_spawn('/bin/sleep', ['sleep', '100'], {})",
        "import multiprocessing\nmultiprocessing.Process(target=print).start()",
        "import os\nos.kill(os.getppid(), 0)",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1')",
    ],
)
def test_programs_start_no_processes_signal_none_and_reach_no_network(sandbox, code):
    ran = sandbox.run(code)
    assert ran.exit is Exit.ERROR
    assert "PermissionError" in ran.stderr
    assert "dsmath" not in ran.stderr


def test_threads_work(sandbox):
    ran = sandbox.run("import threading\nt = threading.Thread(target=print, args=(1,))\nt.start()\nt.join()")
    assert (ran.exit, ran.stdout) == (Exit.OK, "1\n"), ran.stderr


def test_no_process_outlives_its_program(sandbox):
    # Through libc, past the audit hook: the child keeps the pipes and would sleep on.
    code = (
        "import ctypes, os, time\n"
        "pid = ctypes.CDLL(None).fork()\n"
        "if pid == 0:\n    time.sleep(100)\n"
        "print(pid, flush=True)"
    )
    ran = sandbox.run(code)
    assert ran.exit is Exit.OK
    deadline = time.monotonic() + 5
    while alive(int(ran.stdout)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(int(ran.stdout))


def test_a_fork_bomb_through_libc_is_stopped(quick):
    # Bounded at 64 processes, for the sake of whoever runs the tests when this fails.
    code = "import ctypes, os\nprint(os.getcwd())\nfor _ in range(6): ctypes.CDLL(None).fork()\nwhile True: pass"
    ran = quick.run(code)
    assert ran.exit is Exit.TIMEOUT
    folder = ran.stdout.split()[0]
    deadline = time.monotonic() + 5
    while processes_in(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not processes_in(folder)


def test_the_same_program_prints_the_same(sandbox):
    code = (
        "import random, numpy\n"
        "print(random.random(), numpy.random.rand(), random.sample(range(9), 3), {'a', 'b', 'c', 'd'}, hash('x'))"
    )
    first, second = sandbox.run(code), sandbox.run(code)
    assert first.exit is Exit.OK, first.stderr
    assert first.stdout == second.stdout


def test_programs_run_side_by_side(sandbox):
    code = "import time\nprint(time.monotonic())\ntime.sleep(1)\nprint(time.monotonic())"
    futures = [sandbox.submit(code) for _ in range(2)]
    (start1, end1), (start2, end2) = ([float(t) for t in future.result().stdout.split()] for future in futures)
    assert start1 < end2
    assert start2 < end1


def test_close_kills_what_runs_and_cancels_what_waits():
    sandbox = Sandbox(config.Sandbox(timeout_s=60.0, memory_mb=512, output_kb=64, workers=1))
    running = sandbox.submit("import time\ntime.sleep(100)")
    waiting = sandbox.submit("print(1)")
    while not running.running():
        time.sleep(0.01)
    time.sleep(0.1)
    start = time.monotonic()
    sandbox.close()
    assert time.monotonic() - start < 5
    assert running.result().exit is Exit.SANDBOX
    with pytest.raises(concurrent.futures.CancelledError):
        waiting.result(timeout=0)
    sandbox.close()


def test_a_sandbox_that_fails_does_not_blame_the_program(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Sandbox(LIMITS) as broken:
        assert broken.run("print(1)").exit is Exit.SANDBOX


def test_no_status_of_a_program_passes_for_a_failure_of_the_sandbox(sandbox):
    codes = "\n".join(f"quit({status})" for status in range(256)).split("\n")
    futures = [sandbox.submit(code) for code in codes[::16]]
    assert all(f.result().exit is not Exit.SANDBOX for f in futures)


def test_limits_are_checked_and_recorded():
    with pytest.raises(UserError, match=r"config\.sandbox\.workers is 0; expected more than 0"):
        Sandbox(config.Sandbox(timeout_s=1.0, memory_mb=512, output_kb=64, workers=0))
    with pytest.raises(UserError, match=r"config\.sandbox\.memory_mb is 4; expected at least 64"):
        Sandbox(config.Sandbox(timeout_s=1.0, memory_mb=4, output_kb=64, workers=1))
    with Sandbox(LIMITS) as sandbox:
        assert sandbox.level == {"level": "L0", "timeout_s": 1.0, "memory_mb": 512, "output_kb": 64, "workers": 2}


@pytest.mark.parametrize("code", ["while True: pass", "import time\ntime.sleep(100)"])
def test_no_program_outlives_a_killed_parent_for_long(tmp_path, code):
    where = tmp_path / "pid"
    program = f"import os\nwith open({str(where)!r}, 'w') as f: f.write(str(os.getpid()))\n{code}"
    script = (
        "from dsmath import config\nfrom dsmath.tool.sandbox import Sandbox\n"
        "limits = config.Sandbox(timeout_s=0.1, memory_mb=512, output_kb=64, workers=1)\n"
        f"Sandbox(limits).run({program!r})"
    )
    with subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "TMPDIR": str(tmp_path)}) as parent:
        while not (where.exists() and where.read_text()):
            time.sleep(0.005)
        parent.kill()
    pid = int(where.read_text())
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def test_published_programs_reproduce_their_recorded_outputs(real_data):
    with open(real_data / "programs" / "gsm8k_model_programs.jsonl") as file:
        rows = [json.loads(line) for line in file][::22]
    with Sandbox(config.Sandbox(timeout_s=2.0, memory_mb=512, output_kb=64, workers=2)) as sandbox:
        runs = [future.result() for future in [sandbox.submit(row["code"]) for row in rows]]
    for row, ran in zip(rows, runs, strict=True):
        if "TimeoutError" in row["output"]:
            assert ran.exit is Exit.TIMEOUT
        else:
            assert (ran.stdout.strip() or programs.traceback(ran.stderr).split("\n")[-1]) == row["output"], row["id"]
