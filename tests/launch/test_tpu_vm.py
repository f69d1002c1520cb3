"""On TPU VMs: a slice that is taken away is replaced, and the command goes on; nothing is left that costs."""

import os
import signal

import pytest

FLAGS = ["--name=sft", "--zone=z", "--accelerator-type=v5litepod-16", "--runtime-version=r", "--poll=0.1"]
VERB = ["--", "dsmath", "train", "--workdir", "gs://bucket/run"]
CREATE = "gcloud compute tpus queued-resources create sft"
DELETE = "gcloud compute tpus queued-resources delete sft --force"
START = "dsmath train --workdir gs://bucket/run JAX_COORDINATOR_PORT="


def test_a_slice_that_was_preempted_is_replaced_and_the_same_command_starts_there(desk):
    desk.say("statuses", "lost", 0)
    done = desk.run("tpu_vm.sh", *FLAGS, *VERB)
    assert done.returncode == 0, done.stderr
    steps = [call for call in desk.calls() if call.startswith((CREATE, DELETE, START))]
    assert [step.split(" --")[0].split()[-2:] for step in steps] == [
        ["create", "sft"],
        ["dsmath", "train"],
        ["delete", "sft"],
        ["create", "sft"],
        ["dsmath", "train"],
        ["delete", "sft"],
    ]


def test_a_request_that_fails_is_made_again_and_waiting_ones_are_waited_for(desk):
    desk.say("states", "WAITING_FOR_RESOURCES", "FAILED", "PROVISIONING", "ACTIVE")
    done = desk.run("tpu_vm.sh", *FLAGS, *VERB)
    assert done.returncode == 0, done.stderr
    assert (len(desk.calls(CREATE)), len(desk.calls(START))) == (2, 1)


def test_requests_that_fail_are_not_made_for_ever(desk):
    desk.say("states", "FAILED")
    done = desk.run("tpu_vm.sh", *FLAGS, "--retries=1", *VERB)
    assert (done.returncode, len(desk.calls(CREATE)), len(desk.calls(START))) == (75, 2, 0)
    assert not (desk.folder / "resource").exists()


@pytest.mark.parametrize(
    ("statuses", "starts", "ends"), [([75, 0], 2, 0), ([137, 2], 2, 2), ([2, 0], 1, 2), ([75], 2, 75)]
)
def test_it_starts_again_on_the_same_slice_on_75_and_crashes_but_not_on_2(desk, statuses, starts, ends):
    desk.say("statuses", *statuses)
    done = desk.run("tpu_vm.sh", *FLAGS, "--retries=1", *VERB)
    assert (len(desk.calls(START)), done.returncode) == (starts, ends)
    assert (len(desk.calls(CREATE)), len(desk.calls(DELETE))) == (1, 1)
    assert not (desk.folder / "resource").exists()


def test_an_installation_that_fails_is_tried_again_whatever_its_status(desk):
    """uv ends with 2 when it can't reach an index, which is no 2 of a verb."""
    desk.say("installs", 2, 0)
    done = desk.run("tpu_vm.sh", *FLAGS, *VERB)
    assert done.returncode == 0, done.stderr
    assert (len(desk.calls(START)), len(desk.calls(CREATE))) == (1, 1)


def test_keep_leaves_the_slice(desk):
    assert desk.run("tpu_vm.sh", *FLAGS, "--keep", *VERB).returncode == 0
    assert (desk.folder / "resource").exists()


@pytest.mark.parametrize("slices", [1, 2])
def test_sigterm_reaches_the_command_on_every_slice_which_saves_before_the_slices_go(desk, slices):
    desk.say("statuses", "wait")
    process = desk.start("tpu_vm.sh", *FLAGS, f"--slices={slices}", "--name", f"term{slices}", *VERB)
    desk.wait_for(START, slices)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 75
    calls = desk.calls()
    assert calls.count("dsmath saved") == slices
    assert calls[-1].startswith("gcloud compute tpus queued-resources delete")
    assert len(desk.calls(START)) == slices


def test_a_command_outlives_the_script_and_the_next_call_ends_it_and_goes_on(desk):
    desk.say("statuses", "wait", 0)
    lost = desk.start("tpu_vm.sh", *FLAGS, "--name=outlives", *VERB)
    desk.wait_for(START)
    lost.kill()
    process = int((desk.folder / "hosts" / "outlives" / "dsmath.pid").read_text())
    os.kill(process, signal.SIGHUP)  # as the end of a session sends it
    assert (desk.folder / "resource").exists()
    done = desk.run("tpu_vm.sh", *FLAGS, "--name=outlives", *VERB)
    assert done.returncode == 0, done.stderr
    assert (desk.calls().count("dsmath saved"), len(desk.calls(START)), len(desk.calls(CREATE[:-3]))) == (1, 2, 1)


def test_what_is_installed_is_the_commit_and_what_the_hosts_print_is_shown(desk):
    """The stand-in for uv installs only where the checkout was unpacked, configs included."""
    desk.say("statuses", 0)
    done = desk.run("tpu_vm.sh", *FLAGS, "--ref=HEAD", "--keep", *VERB)
    assert done.returncode == 0, done.stderr
    assert (desk.folder / "hosts" / "sft" / "dsmath" / "launch" / "README.md").exists()
    assert (desk.folder / "hosts" / "sft" / "dsmath.log").exists()


def test_gcloud_that_cannot_tell_is_asked_again_and_not_for_ever(desk):
    (desk.folder / "bin" / "gcloud").unlink()
    (desk.folder / "bin" / "gcloud").write_text(
        '#!/bin/sh\necho "$@" >> "$DESK/asked"\necho "no network" >&2\nexit 1\n'
    )
    (desk.folder / "bin" / "gcloud").chmod(0o755)
    done = desk.run("tpu_vm.sh", *FLAGS, "--retries=0", *VERB)
    assert done.returncode == 75
    assert "no network" in done.stderr
    assert len((desk.folder / "asked").read_text().splitlines()) == 5
