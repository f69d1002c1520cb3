"""On one machine: processes join, end together, and are started again as their statuses ask for."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.launch.conftest import ROOT

JOINED = """
import jax, jax.numpy as jnp
from jax.experimental import multihost_utils
from dsmath import runtime
runtime.start()
index, count = runtime.process()
ranks = multihost_utils.process_allgather(jnp.array([index]))
print("joined", index, count, jax.local_device_count(), jax.device_count(), ranks.ravel().tolist(), flush=True)
"""
# Tells that it is up, and saves when it is told to end: what a verb does, without its imports.
SAVES = """
import os, signal, time
def save(*_):
    os.write(1, f"saved {os.environ['JAX_PROCESS_ID']}\\n".encode())
    os._exit(75)
signal.signal(signal.SIGTERM, save)
os.write(1, b"up\\n")
while True:
    time.sleep(0.05)
"""


def free_port() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def test_processes_with_virtual_devices_join_and_see_each_other(desk):
    flags = ["--processes", "2", "--devices", "2", "--port", free_port(), "--retries=0"]
    environment = {"PYTHONPATH": str(ROOT), "XLA_FLAGS": "", "JAX_PLATFORMS": ""}
    done = desk.run("local.sh", *flags, "--", sys.executable, "-c", JOINED, **environment)
    assert done.returncode == 0, done.stderr
    lines = sorted(line for line in done.stdout.splitlines() if line.startswith("joined"))
    assert lines == ["joined 0 2 2 4 [0, 1]", "joined 1 2 2 4 [0, 1]"]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_every_process_as_sigterm_and_ends_the_script_with_their_status(desk, sent):
    # What nohup started would have its children ignore hangups, and what a shell started behind `&` interrupts.
    before = {one: signal.signal(one, signal.SIG_DFL) for one in (signal.SIGHUP, signal.SIGINT)}
    process = desk.start("local.sh", "--processes=2", "--", sys.executable, "-c", SAVES)
    for one, handler in before.items():
        signal.signal(one, handler)
    assert [process.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)  # as a terminal sends it
    else:
        process.send_signal(sent)
    out, err = process.communicate(timeout=30)
    assert sorted(out.splitlines()) == ["saved 0", "saved 1"]
    assert (process.returncode, err) == (75, "")


def test_when_one_process_is_killed_the_others_end_and_all_start_again(desk):
    """The other one would wait for ever, as one that has lost its peer does in a collective."""
    script = """
        if [ -e again ]; then exit 0; fi
        if [ "$JAX_PROCESS_ID" = 1 ]; then while [ ! -e up ]; do sleep 0.05; done; touch again; kill -KILL $$; fi
        trap "echo saved; exit 75" TERM
        touch up
        while :; do sleep 0.05; done
    """
    done = desk.run("local.sh", "--processes=2", "--", "bash", "-c", script)
    assert (done.returncode, done.stdout) == (0, "saved\n")
    assert "ended with 137; starting again (1 of 3)" in done.stderr


def test_what_does_not_end_in_time_is_killed(desk):
    script = 'if [ "$JAX_PROCESS_ID" = 0 ]; then exit 2; fi; trap "" TERM; while :; do sleep 0.1; done'
    done = desk.run("local.sh", "--processes=2", "--grace=1", "--", "bash", "-c", script)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("statuses", "starts", "ends"),
    [
        ([0], 1, 0),
        ([75, 0], 2, 0),
        ([75, 139, 1, 0], 4, 0),
        ([75], 3, 75),  # --retries=2
        ([75, 2], 2, 2),
        ([2, 0], 1, 2),
    ],
)
def test_it_starts_again_on_75_and_crashes_but_not_on_2_and_not_for_ever(desk, statuses, starts, ends):
    desk.say("statuses", *statuses)
    done = desk.run("local.sh", f"--retries={3 if len(statuses) > 3 else 2}", "--", "dsmath", "train")
    assert (len(desk.calls("dsmath train")), done.returncode) == (starts, ends)


def test_the_gravest_status_counts_when_processes_end_with_several(desk):
    """A process that finds what the user has to mend ends with 2; the others lose it, and end with 75."""
    script = 'if [ "$JAX_PROCESS_ID" = 0 ]; then exit 75; fi; trap "exit 2" TERM; while :; do sleep 0.1; done'
    assert desk.run("local.sh", "--processes=2", "--", "bash", "-c", script).returncode == 2


def test_a_command_that_does_not_exist_is_not_tried_again(desk):
    done = desk.run("local.sh", "--", str(Path("no-such-program")))
    assert done.returncode == 127
    assert "starting again" not in done.stderr
