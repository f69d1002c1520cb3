"""Levels are what a program fails to do; below the required one nothing runs."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from dsmath import config
from dsmath.error import UserError
from dsmath.records import Exit
from dsmath.sandbox import levels, lockdown
from dsmath.sandbox.client import Sandbox

LIMITS = config.Sandbox(timeout_s=1.0, memory_mb=256, output_kb=64, workers=1, required_level="L1")


def refused(limits: config.Sandbox) -> str:
    try:
        Sandbox(limits).close()
    except UserError as e:
        return str(e)
    return ""


def test_this_machine_gives_the_default_level():
    with Sandbox(LIMITS) as sandbox:
        assert sandbox.level["level"] == "L1", levels.facts()


def test_a_program_that_nothing_contains_is_at_level_0_and_every_attempt_can_succeed(tmp_path):
    """The probe of a plain process: what it could do here is what it must not be able to do at L1."""
    file = tmp_path / "canary"
    file.write_text("")
    probe = levels.probe(str(file))
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    level, does = levels.judge(done.stdout, os.getpid())
    assert level == "L0"
    assert {"read a file", "write a file", "make a file", "start a process", "open a socket"} <= set(does)


def test_without_lockdown_the_level_is_0_and_a_higher_one_is_refused(monkeypatch):
    with pytest.raises(UserError) as refused:
        Sandbox(LIMITS, lock_down=False)
    assert str(refused.value).startswith("config.sandbox.required_level is L1, this machine gives L0: a program could")
    assert "\n" not in str(refused.value)
    with Sandbox(dataclasses.replace(LIMITS, required_level="L0"), lock_down=False) as sandbox:
        assert sandbox.level["level"] == "L0"
        assert sandbox.run("print(1)").stdout == "1\n"


def test_without_lockdown_no_process_is_left_behind():
    """A child in a session of its own, with the pipes held open; bounded in time, for the case that it is left."""
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(20)\n    time.sleep(20)\n"
        "print(os.getpgid(0))"
    )
    limits = dataclasses.replace(LIMITS, required_level="L0")
    with Sandbox(limits, lock_down=False) as sandbox:
        ran = sandbox.run(code)
        assert ran.exit is Exit.OK, ran.stderr
        assert sandbox.run("print(1)").stdout == "1\n"
        (zygote,) = [one.process.pid for one in sandbox._zygotes.values()]
        left = subprocess.run(["ps", "--ppid", str(zygote), "-o", "pid="], capture_output=True, text=True, check=False)
        assert len(left.stdout.split()) <= 2, "spares alone"


def test_external_is_declared_not_found():
    with Sandbox(dataclasses.replace(LIMITS, required_level=levels.EXTERNAL)) as sandbox:
        assert sandbox.level["level"] == "external"


@pytest.mark.parametrize("level", ["L2", "L3"])
def test_higher_levels_hide_the_host_or_say_what_they_lack(level, tmp_path):
    canary = tmp_path / "canary"
    canary.write_text("")
    limits = dataclasses.replace(LIMITS, required_level=level)
    if refusal := refused(limits):
        assert f"required_level is {level}" in refusal or "does not start here" in refusal
        assert "\n" not in refusal
        return
    with Sandbox(limits) as sandbox:
        assert sandbox.level["level"] == level
        assert (
            sandbox.run(f"import os\nprint(os.path.exists({str(canary)!r}), os.getpid() < 100)").stdout
            == "False True\n"
        )
        assert sandbox.run("import numpy, sympy\nprint(sympy.sqrt(8))").stdout == "2*sqrt(2)\n"
        assert sandbox.run("while True: pass").exit is Exit.TIMEOUT


def test_an_attempt_that_a_program_makes_is_in_the_refusal():
    printed = json.dumps({"does": ["open a socket"], "sees": True})
    assert levels.judge(printed, os.getpid()) == ("L0", ["open a socket"])


def test_what_the_kernel_lacks_is_named(monkeypatch):
    monkeypatch.setattr(lockdown, "landlock_abi", lambda: 0)
    assert "Landlock is off" in levels.missing()[0]
