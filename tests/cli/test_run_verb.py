"""`dsmath run` as real processes: one program, a file of programs, and a line for every mistake."""

import json
import os
import subprocess
import sys
import time

import pytest

FIELDS = {"exit", "stdout", "stderr", "cpu_s", "wall_s", "peak_bytes", "truncated", "level"}


def dsmath_run(*args, **environment):
    command = [sys.executable, "-m", "dsmath.cli.main", "run", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def record(tmp_path, code, *args, **environment):
    """What `dsmath run FILE --json` prints last."""
    file = tmp_path / "program.py"
    file.write_text(code)
    done = dsmath_run(file, "--json", *args, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_program_is_run_and_its_record_printed(tmp_path):
    ran = record(tmp_path, "import sys\nprint(6 * 7)\nprint('oh', file=sys.stderr)")
    assert ran.keys() == FIELDS
    assert (ran["exit"], ran["stdout"], ran["stderr"], ran["truncated"]) == ("ok", "42\n", "oh\n", False)
    assert ran["level"] in ("L1", "L2", "L3")
    assert 0 < ran["cpu_s"] < 10
    assert ran["wall_s"] > 0
    assert ran["peak_bytes"] > 1 << 20


def test_without_json_the_programs_own_output_is_shown(tmp_path):
    file = tmp_path / "program.py"
    file.write_text("import sys\nprint(6 * 7)\nprint('oh', file=sys.stderr)")
    done = dsmath_run(file)
    assert (done.returncode, done.stdout) == (0, "42\n")
    assert done.stderr.startswith("oh\n[ok: ")


@pytest.mark.parametrize(
    ("code", "args", "exit"),
    [
        ("1 / 0", (), "error"),
        ("while True: pass", ("--timeout_s=0.2",), "timeout"),
        ("import time; time.sleep(100)", ("--timeout_s=0.2",), "timeout"),
        ("x = bytearray(1 << 30)", ("--memory_mb=64",), "memory"),
        ("while True: print('spam')", ("--output_kb=2",), "output"),
    ],
)
def test_how_a_program_ended_is_in_the_record(tmp_path, code, args, exit):
    assert record(tmp_path, code, *args)["exit"] == exit


def test_a_program_sees_nothing_of_the_users_environment(tmp_path):
    ran = record(tmp_path, "import os\nprint(dict(os.environ))", SECRET_TOKEN="hunter2")
    assert "hunter2" not in ran["stdout"]


def test_a_file_of_programs_gives_results_in_its_order(tmp_path):
    codes = [
        "import time\ntime.sleep(0.4)\nprint('slow')",
        *(f"print({i})" for i in range(20)),
        "1 / 0",
        "print('\\ud800')",
    ]
    programs, results = tmp_path / "programs.jsonl", tmp_path / "results.jsonl"
    programs.write_text("".join(json.dumps({"id": f"p{i}", "code": code}) + "\n" for i, code in enumerate(codes)))
    done = dsmath_run("--jsonl", programs, "--out", results, "--concurrency", 4, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["programs"], summary["exits"]) == (23, {"error": 1, "ok": 22})
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"p{i}" for i in range(23)]
    assert all(row.keys() == FIELDS | {"id"} for row in rows)
    assert [row["stdout"] for row in rows] == ["slow\n", *(f"{i}\n" for i in range(20)), "", "\\ud800\n"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["programs.jsonl", "results.jsonl"]


def test_a_killed_file_of_programs_goes_on_behind_the_last_result(tmp_path):
    programs, results, partial = (
        tmp_path / name for name in ("programs.jsonl", "results.jsonl", "results.jsonl.partial")
    )
    code = "import time\ntime.sleep(0.02)\nprint({})"
    programs.write_text("".join(json.dumps({"id": i, "code": code.format(i)}) + "\n" for i in range(100)))
    line = ["--jsonl", programs, "--out", results, "--concurrency", "2"]
    process = subprocess.Popen([sys.executable, "-m", "dsmath.cli.main", "run", *map(str, line)])
    while not (partial.exists() and partial.read_bytes().count(b"\n") > 5):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    before = partial.read_bytes()
    before = before[before.index(b"\n") + 1 : before.rindex(b"\n") + 1]
    done = dsmath_run(*line, "--json")
    assert json.loads(done.stdout.splitlines()[-1])["programs"] == 100
    assert f"{before.count(chr(10).encode())} results are in" in done.stderr
    assert results.read_bytes().startswith(before)
    assert [json.loads(row)["stdout"] for row in results.read_text().splitlines()] == [f"{i}\n" for i in range(100)]


def test_no_programs_give_no_results(tmp_path):
    programs, results = tmp_path / "programs.jsonl", tmp_path / "results.jsonl"
    programs.write_text("")
    done = dsmath_run("--jsonl", programs, "--out", results)
    assert done.returncode == 0, done.stderr
    assert results.read_text() == ""


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), ["FILE", "--jsonl"]),
        (("no_such.py",), ["no_such.py"]),
        (("good.py", "--jsonl", "good.jsonl"), ["FILE", "--jsonl"]),
        (("--jsonl", "good.jsonl"), ["--out"]),
        (("--jsonl", "no_such.jsonl", "--out", "x"), ["no_such.jsonl"]),
        (("--jsonl", "bad.jsonl", "--out", "x"), ["bad.jsonl:1", "id", "code"]),
        (("--jsonl", "good.jsonl", "--out", "no/such/folder"), ["no/such/folder", "--out"]),
        (("good.py", "--required_level", "L9"), ["L9", "L1"]),
        (("good.py", "--timeout_s", "0"), ["timeout_s", "0"]),
        (("--jsonl", "good.jsonl", "--out", "x", "--concurrency", "0"), ["0", "more than 0"]),
    ],
)
def test_a_mistake_is_answered_with_one_line(tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.py").write_text("print(1)")
    (tmp_path / "good.jsonl").write_text('{"id": 1, "code": "print(1)"}\n')
    (tmp_path / "bad.jsonl").write_text('{"id": 1}\n')
    done = dsmath_run(*args)
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert all(word in line for word in words), line
