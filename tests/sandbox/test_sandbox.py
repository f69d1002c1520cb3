"""Programs under limits, with real processes."""

import dataclasses
import os

import pytest

from dsmath.records import Exit
from dsmath.rollout import programs
from dsmath.sandbox.client import Sandbox
from tests.sandbox.conftest import LIMITS, children


def test_a_program_prints_and_ends(sandbox):
    ran = sandbox.run("print(6 * 7)")
    assert (ran.exit, ran.stdout, ran.stderr, ran.truncated) == (Exit.OK, "42\n", "", False)
    assert 0 < ran.cpu_s < LIMITS.timeout_s
    assert ran.wall_s > 0
    assert 1 << 20 < ran.peak_bytes < 1 << 30


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


def test_waiting_counts_as_time_but_not_as_cpu_time(quick):
    ran = quick.run("import time\nprint('before', end='')\ntime.sleep(60)")
    assert (ran.exit, ran.stdout) == (Exit.TIMEOUT, "before"), "what no line end has flushed is kept"
    assert 0.2 <= ran.wall_s < 2
    assert ran.cpu_s < 0.1


def test_waiting_for_a_cpu_does_not_count():
    """Eight programs on at most two CPUs, each with just enough CPU time, and far less than enough elapsed time."""
    code = "import time\nwhile time.process_time() < 0.4: pass\nprint('done')"
    cpus = sorted(os.sched_getaffinity(0))
    others = children("dsmath.sandbox.zygote")
    with Sandbox(dataclasses.replace(LIMITS, timeout_s=0.8, workers=8)) as sandbox:
        for pid in set(children("dsmath.sandbox.zygote")) - {*others}:
            os.sched_setaffinity(pid, cpus[:2])
        sandbox.run("import time\ntime.sleep(0.01)")  # spares that were forked before go first
        sandbox.run("import time\ntime.sleep(0.01)")
        runs = [future.result() for future in [sandbox.submit(code) for _ in range(8)]]
    assert [ran.stdout for ran in runs] == ["done\n"] * 8
    assert max(ran.wall_s for ran in runs) > 0.8, "the machine was busy enough for the test to tell"


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


def test_the_environment_is_not_inherited(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    with Sandbox(LIMITS) as sandbox:
        ran = sandbox.run("import os\nprint(dict(os.environ))")
    assert "hunter2" not in ran.stdout
    assert "PYTHONHASHSEED" in ran.stdout


def test_descriptors_are_not_inherited():
    read, write = os.pipe()
    os.set_inheritable(write, True)
    code = (
        "import os\n"
        "def is_open(fd):\n    try: os.fstat(fd)\n    except OSError: return False\n    return True\n"
        "print([fd for fd in range(4096) if is_open(fd)])"
    )
    try:
        with Sandbox(LIMITS) as sandbox:
            runs = [sandbox.run(code) for _ in range(3)]
    finally:
        os.close(read)
        os.close(write)
    assert [ran.stdout for ran in runs] == ["[0, 1, 2]\n"] * 3


@pytest.mark.parametrize("code", ["open('f', 'w')", "open('/tmp/f', 'w')", "import os\nos.mkdir('/tmp/d')"])
def test_programs_write_no_files(sandbox, code):
    ran = sandbox.run(code)
    assert ran.exit is Exit.ERROR
    assert "PermissionError" in ran.stderr


def test_the_null_device_can_be_written(sandbox):
    assert sandbox.run("import os\nprint(1, file=open(os.devnull, 'w'))").exit is Exit.OK


@pytest.mark.parametrize(
    "code",
    [
        "import os\nwhile True: os.fork()",
        "import subprocess\nsubprocess.run(['/bin/sleep', '100'])",
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


def test_the_same_program_prints_the_same_in_every_sandbox():
    code = (
        "import random, numpy, sympy\n"
        "print(random.random(), numpy.random.rand(), random.sample(range(9), 3), {'a', 'b', 'c', 'd'}, hash('x'))\n"
        "print(sympy.core.random.random(), sympy.randprime(10**6, 10**9))"
    )
    light = "import random\nprint(random.random(), hash('x'))"
    printed = []
    for _ in range(2):
        with Sandbox(LIMITS) as sandbox:
            printed += [(sandbox.run(code).stdout, sandbox.run(light).stdout) for _ in range(2)]
    assert printed[0][0].count("\n") == 2
    assert len(set(printed)) == 1


def test_a_program_leaves_nothing_to_the_next(sandbox):
    poison = (
        "import builtins, json, random, sys, numpy\n"
        "builtins.print = json.dumps = numpy.sum = None\nrandom.seed(5)\nsys.modules['math'] = None\nleft = 1"
    )
    check = (
        "import builtins, json, math, random, numpy\n"
        "print(json.dumps(math.sqrt(4)), numpy.sum([1, 2]), random.random(), 'left' in globals())"
    )
    before, _, after = sandbox.run(check), sandbox.run(poison), sandbox.run(check)
    assert before.exit is Exit.OK, before.stderr
    assert before.stdout == after.stdout


def test_exit_functions_threads_and_finalizers_run_before_the_end(sandbox):
    code = (
        "import atexit, threading, time\n"
        "class Last:\n    def __del__(self): print('last')\n"
        "last = Last()\natexit.register(print, 'exit')\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\nprint('main')"
    )
    assert sandbox.run(code).stdout == "main\nthread\nexit\nlast\n"


def test_earlier_blocks_are_replayed_in_silence(sandbox):
    replay = ["import math\nx = 20\nprint('no')", "y = math.sqrt(4)\n1/0", "import sys\nprint('no', file=sys.stderr)"]
    ran = sandbox.run("print(x + y)", replay=replay)
    assert (ran.exit, ran.stdout, ran.stderr) == (Exit.OK, "22.0\n", "")


def test_digits_beyond_the_interpreters_limit_are_an_error_and_a_million_characters_are_cut(sandbox):
    assert "ValueError: Exceeds the limit" in sandbox.run("print(10 ** 1_000_000)").stderr
    ran = sandbox.run("print('7' * 1_000_000)")
    assert (ran.exit, ran.stdout) == (Exit.OUTPUT, "7" * LIMITS.output_kb * 1024)


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("def f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(998))", "998\n"),
        ("sum = 5\nprint(__builtins__.sum([1, 2, 3]))", "6\n"),
        ("count = 3\nclass A:\n    def __del__(self):\n        print(count)\na = A()", "3\n"),
        ("import sys\nprint(sys.argv, sys.orig_argv, '/' in sys.path)", "[''] [''] False\n"),
        ("from concurrent.futures import ThreadPoolExecutor as T\nprint(list(T(3).map(abs, [-1, -2])))", "[1, 2]\n"),
        ("import os\nprint(os.read(0, 1))", "b''\n"),
    ],
)
def test_programs_see_a_python_like_any_other(sandbox, code, printed):
    ran = sandbox.run(code)
    assert ran.stdout == printed, ran.stderr


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("x = 6\nx * 7", "42\n"),
        ("print('a')\n'b'", "a\n'b'\n"),
        ("x = 6; x", "6\n"),
        ("print('a')", "a\n"),
        ("None", ""),
        ("x = 6", ""),
        ("if True:\n    6", ""),
        ("6\nx = 7", ""),
        ("", ""),
        ("import sympy\nsympy.Rational(1, 3)", "1/3\n"),
    ],
)
def test_the_value_of_a_last_expression_is_printed_where_that_is_asked_for(sandbox, code, printed):
    ran = sandbox.run(code, value=True)
    assert (ran.exit, ran.stdout, ran.stderr) == (Exit.OK, printed, "")
    assert sandbox.run("6 * 7").stdout == ""


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    return 1 / 0\n\n\nf()",
        "x = (",
        "return 1",
        "exit(3)",
        "raise MemoryError",
        "class A:\n    def __repr__(self):\n        return 1 / 0\n\n\nx",
    ],
)
def test_a_program_whose_value_is_asked_for_fails_as_it_does_otherwise(sandbox, code):
    with_value, without = sandbox.run(code, value=True), sandbox.run(code)
    assert (with_value.exit, with_value.stderr) == (without.exit, without.stderr)
    assert with_value.exit in (Exit.ERROR, Exit.MEMORY)


def test_a_value_that_cannot_be_written_is_an_error_of_the_program(sandbox):
    ran = sandbox.run("class A:\n    def __repr__(self):\n        return 1 / 0\n\n\nA()", value=True)
    assert (ran.exit, ran.stdout) == (Exit.ERROR, "")
    frames = [line for line in ran.stderr.split("\n") if "File" in line]
    assert frames == ['  File "<string>", line 6, in <module>', '  File "<string>", line 3, in __repr__']


def test_values_of_earlier_blocks_stay_silent_and_are_remembered(sandbox):
    replay = ["print('no')\n40", "'also not'\n1 / 0", "x = _ + 1\nx"]
    ran = sandbox.run("print(x)\n_ + 1", replay=replay, value=True)
    assert (ran.stdout, ran.stderr) == ("41\n42\n", "")
