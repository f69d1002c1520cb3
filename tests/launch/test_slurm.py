"""In a Slurm job: it is requeued where that helps, and SIGTERM reaches the tasks."""

import signal

import pytest

VERB = ["--", "dsmath", "train", "--workdir", "/scratch/a run"]
REQUEUE = ["scontrol requeue 7"]


@pytest.mark.parametrize(
    ("status", "state", "restarts", "requeued"),
    [
        (0, "RUNNING", 0, False),
        (2, "RUNNING", 0, False),
        (75, "RUNNING", 0, True),
        (137, "RUNNING", 1, True),
        (75, "RUNNING", 3, False),  # --retries 3
        (75, "COMPLETING", 0, False),  # somebody cancelled it
    ],
)
def test_a_job_is_requeued_on_75_and_crashes_but_not_on_2_when_cancelled_or_for_ever(
    desk, status, state, restarts, requeued
):
    desk.say("statuses", status)
    desk.say("jobs", state)
    done = desk.run("slurm.sbatch", "--retries", "3", *VERB, SLURM_RESTART_COUNT=str(restarts))
    assert done.returncode == status
    assert desk.calls("scontrol") == (REQUEUE if requeued else [])


def test_sigterm_reaches_the_tasks_which_save_and_the_job_is_requeued(desk):
    """Sent to srun it would kill them: the stand-in does so, as srun does."""
    desk.say("statuses", "wait")
    process = desk.start("slurm.sbatch", *VERB)
    desk.wait_for("dsmath train")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 75, err
    assert desk.calls()[1:] == [
        "dsmath train --workdir /scratch/a\\ run",
        "scancel --signal=TERM 7",
        "dsmath saved",
        "squeue --noheader --jobs=7 --format=%T",
        "scontrol requeue 7",
    ]


@pytest.mark.parametrize("limit", ["20", "20:00", "0:20:00", "08:09:10", "1-0", "0-0:20", "0-00:20:00"])
def test_every_form_of_a_time_limit_is_read(desk, limit):
    """With --grace 600 the least limit is 20 minutes: a shorter one would have the job told to end as it starts."""
    assert desk.run("slurm.sh", "--nodes=1", "--gpus-per-node=1", f"--time={limit}", *VERB).returncode == 0


def test_the_submitted_job_is_the_batch_script_with_the_command_and_its_bound(desk):
    flags = ["--nodes=2", "--gpus-per-node=4", "--time=1:00:00", "--retries=5", "--grace=90"]
    assert desk.run("slurm.sh", *flags, *VERB).returncode == 0
    (call,) = desk.calls("sbatch")
    assert "--nodes=2 --gpus-per-node=4 --ntasks-per-node=4 --time=1:00:00 --signal=B:TERM@90" in call
    assert call.endswith(r"launch/slurm.sbatch --retries 5 -- dsmath train --workdir /scratch/a\ run")
