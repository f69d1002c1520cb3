"""Every hostile program is contained: judged from outside, by a process of its own (tests/sandbox/hostile/judge.py).

Where the tests run as root, the judge runs a second time as an ordinary user.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dsmath import config
from dsmath.records import Exit
from dsmath.sandbox.client import Sandbox
from tests.conftest import ROOT
from tests.sandbox.hostile import PROGRAMS, world

NOBODY = 65534
USERS = {"root": None, "ordinary": NOBODY} if os.geteuid() == 0 else {"ordinary": None}
JUDGE_S = 300.0
# What the judge must notice where nothing contains a program, by a piece of its line.
NOTICED = {
    "files/canary_attributes": "file changed: canary",
    "files/canary_read": "secret shown: canary file",
    "files/canary_removed": "canary gone",
    "files/links": "left file: /tmp/",
    "hangs/busy": "",
    "network/abstract": "connection: abstract",
    "network/tcp": "connection: tcp",
    "network/udp": "connection: udp",
    "network/unix": "connection: unix",
    "poison/flood_once": "output: ",
    "privileges/sysv": "left System V shm",
    "processes/daemon": "left process",
    "processes/fork_os": "late",
    "reach/environ": "secret shown: environment",
    "reach/kill_victim": "victim does not answer",
    "reach/scheduling": "victim changed: nice",
    "reach/signal_judge": "",
    "reach/signal_victim": "victim changed: signals",
    "reach/stop_victim": "victim does not answer",
}
# System calls with arguments that do nothing where they are allowed.
REFUSED = {
    "bpf": (999, None, 0),
    "chroot": (b"/no/such/folder",),
    "clone3": (None, 0),
    "execve": (b"/no/such/file", None, None),
    "execveat": (-1, b"", None, None, 0),
    "fanotify_init": (-1, 0),
    "io_uring_setup": (0, None),
    "kcmp": (-1, -1, 0, 0, 0),
    "keyctl": (999,),
    "memfd_create": (None, 0),
    "memfd_secret": (-1,),
    "mount": (None, b"/no/such/folder", None, 0, None),
    "mq_open": (None, 0),
    "open_by_handle_at": (-1, None, 0),
    "perf_event_open": (None, 0, -1, -1, 0),
    "pidfd_getfd": (-1, 0, 0),
    "pidfd_open": (-1, 0),
    "process_vm_readv": (-1, None, 0, None, 0, 0),
    "ptrace": (999, -1, 0, 0),
    "setns": (-1, 0),
    "setsid": (),
    "shmget": (-1, 0, 0),
    "socket": (-1, -1, -1),
    "unshare": (0,),
    "userfaultfd": (-1,),
}


def as_user(uid: int, stage: str) -> list[str]:
    """What is put before a command to run it as another user, who must get at the interpreter and this checkout.

    A folder on the way may be closed to others, as /root mostly is. Then the command sees, in a mount namespace of its
    own, an open folder in its place with nothing in it but what it needs. `stage` is an empty folder.
    """
    needed = [path for path in map(str, (sys.base_prefix, sys.prefix, ROOT))]
    closed = {path: [str(p) for p in Path(path).parents if not p.stat().st_mode & 0o001] for path in needed}
    closed = {path: folders[-1] for path, folders in closed.items() if folders}
    become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    if not closed:
        return become
    steps = [f"mkdir {stage}/{i} && mount --bind {shlex.quote(path)} {stage}/{i}" for i, path in enumerate(closed)]
    steps += [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(folder)}" for folder in sorted({*closed.values()})]
    steps += [
        f"mkdir -p {shlex.quote(path)} && mount --bind {stage}/{i} {shlex.quote(path)}" for i, path in enumerate(closed)
    ]
    script = "\n".join(["umask 022", *steps, f'exec {shlex.join(become)} "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh"]


def run_judge(*options: str, uid: int | None = None) -> dict[str, dict]:
    """The judge's records by program, `None` for the present user."""
    with (
        tempfile.TemporaryDirectory(prefix="dsmath-hostile-") as folder,  # pytest's own are closed to other users
        tempfile.TemporaryDirectory(prefix="dsmath-stage-") as stage,
    ):
        if uid is not None:
            os.chown(folder, uid, uid)
        ended = subprocess.run(
            [
                *([] if uid is None else as_user(uid, stage)),
                *(sys.executable, "-m", "tests.sandbox.hostile.judge", folder, *options),
            ],
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=JUDGE_S,
            start_new_session=True,
        )
    records = {record["name"]: record for record in map(json.loads, ended.stdout.splitlines())}
    assert "after all" in records, f"the judge did not get to the end, exit {ended.returncode}: {ended.stderr[-2000:]}"
    return records


@pytest.fixture(scope="session", params=USERS)
def records(request):
    return run_judge(uid=USERS[request.param])


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_hostile_program_is_contained(records, name):
    assert records[name]["breaches"] == [], f"{PROGRAMS[name].attempts}; stderr ends: {records[name]['error']}"


def test_nothing_is_left_after_all_of_them(records):
    assert records["after all"]["breaches"] == []
    assert records["after all"]["level"] >= "L1"


def test_programs_fail_for_the_sandbox_not_for_their_mistakes(records):
    mistakes = ("NameError", "SyntaxError", "ImportError", "ModuleNotFoundError")
    attacks = [record for name, record in records.items() if not name.startswith("broken/")]
    assert [r["name"] for r in attacks if r.get("error", "").strip().rpartition("\n")[2].startswith(mistakes)] == []


@pytest.fixture(scope="session")
def uncontained():
    return run_judge("--uncontained", "--only", *NOTICED)


@pytest.mark.parametrize("name", [name for name, piece in NOTICED.items() if piece])
def test_the_judge_notices_what_a_program_does_without_a_sandbox(uncontained, name):
    assert any(NOTICED[name] in breach for breach in uncontained[name]["breaches"]), uncontained[name]


def test_the_judge_notices_what_is_left_after_all_of_them_without_a_sandbox(uncontained):
    assert f"the judge got signal {10}" in uncontained["after all"]["breaches"]


def test_the_judge_is_not_alarmed_by_harmless_programs_without_a_sandbox():
    records = run_judge("--uncontained", "--only", "broken/empty", "broken/main_guard", "poison/fences", "hangs/busy")
    assert {name: record["breaches"] for name, record in records.items()} == {name: [] for name in records}


def test_calls_that_leave_no_trace_are_refused():
    code = (
        "MARK, JUDGE = '', 0\n"
        + world.PRELUDE
        + (
            f"for name, arguments in {REFUSED!r}.items():\n"
            "    try: print(name, call(name, *arguments))\n"
            "    except OSError as e: print(name, 'refused' if e.errno in (1, 38) else e)\n"
        )
    )
    limits = config.Sandbox(timeout_s=5.0, memory_mb=256, output_kb=64, workers=1, required_level="L1")
    with Sandbox(limits) as sandbox:
        ran = sandbox.run(code)
    assert (ran.exit, ran.stdout.splitlines()) == (Exit.OK, [f"{name} refused" for name in REFUSED]), ran.stderr
