"""What a run says of itself while it goes: time that counts, lines in a log, traces, curves."""

import logging

import pytest
from tensorboardX.proto.event_pb2 import Event

from dsmath import journal
from dsmath.runs import Run
from dsmath.train.progress import Progress
from tests.train.run_fit import LONG, fit
from tests.train.test_loop import change


def test_time_of_lost_steps_counts_as_time_under_way_but_not_as_good(tmp_path):
    fit(change(LONG, steps=7), tmp_path)
    first = list(journal.read(tmp_path / "metrics.jsonl"))
    lost = [record | {"step": record["step"] + 7, "under_way_s": record["under_way_s"] + 100.0} for record in first]
    with journal.Journal(tmp_path / "metrics.jsonl") as out:
        for record in lost:  # written by a run that was killed before its next checkpoint
            out.append(record)
    fit(change(LONG, steps=14), tmp_path)
    records = list(journal.read(tmp_path / "metrics.jsonl"))
    assert [record["step"] for record in records] == list(range(1, 15))
    times = [record["under_way_s"] for record in records]
    assert times == sorted(times)
    assert times[7] > lost[-1]["under_way_s"]
    good = 0.0
    for record in records:
        good += record["seconds"]
        assert record["goodput"] == pytest.approx(good / record["under_way_s"])


def test_a_log_that_is_no_terminal_gets_a_line_with_what_is_left(caplog):
    record = {"step": 3, "loss": 1.5, "trained_tokens_per_second": 1234.0, "goodput": 0.9, "mfu": 0.41, "seconds": 60.0}
    with caplog.at_level(logging.INFO), Progress(10, start=2, shown=True) as progress:
        progress.show(record)
        progress.show(record | {"step": 4})  # too soon for another line
    assert [r.message for r in caplog.records] == [
        "step 3 of 10  loss 1.500  1,234 trained tokens/s  MFU 41.0%  goodput 90%  0:07:00 left"
    ]


def test_traced_steps_are_on_disk_as_xprof_reads_them_also_where_the_run_ends_first(tmp_path):
    fit(change(LONG, steps=2, trace_step=2), tmp_path)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_what_is_evaluated_while_training_is_in_the_same_curves_after_its_step_was_saved(tmp_path):
    run, seen = Run(tmp_path), []

    def evaluate(step, params):
        saved = sorted(int(path.name) for path in run.checkpoints.iterdir() if path.name.isdigit())
        seen.append((step, set(params), saved))
        return {"accuracy/embedded-cot": step / 10}

    fit(change(LONG, steps=6, eval_every=2, checkpoint_every=100), tmp_path, evaluate=evaluate)
    assert [step for step, *_ in seen] == [2, 4, 6]
    assert all("layers" in names for _, names, _ in seen)
    points = [
        (e.step, v.simple_value) for e in events(run) for v in e.summary.value if v.tag == "accuracy/embedded-cot"
    ]
    assert points == [(2, pytest.approx(0.2)), (4, pytest.approx(0.4)), (6, pytest.approx(0.6))]
    assert [record["step"] for record in journal.read(run.metrics)] == [1, 2, 3, 4, 5, 6]


def events(run: Run) -> list[Event]:
    """Of TensorBoard's files: records of a length in 8 bytes, its checksum in 4, the event, its checksum in 4."""
    found = []
    for path in sorted(run.tensorboard.iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 8], "little")
            found.append(Event.FromString(data[at + 12 : at + 12 + size]))
            at += 16 + size
    return found
