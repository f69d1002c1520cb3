"""Whole runs: killed, stopped, gone on with, refused."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from dsmath import journal
from dsmath.config import Config, Mesh
from dsmath.error import Preempted, UserError
from dsmath.model import checkpoint
from dsmath.runs import Run
from dsmath.sharding import TRAINING, make_mesh
from dsmath.text import tokenizer
from tests.conftest import ROOT
from tests.train.conftest import CONFIG, ROW_LENGTH, make_tokenizer
from tests.train.processes import metrics
from tests.train.run_fit import LONG, fit


def wait_for_step(workdir: Path, step: int, process: subprocess.Popen | None = None) -> None:
    """Until the metrics have that many lines, or the process has ended."""
    path = workdir / "metrics.jsonl"
    while not (path.exists() and path.read_bytes().count(b"\n") >= step):
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.001)


def params(workdir: Path, step: int | None = None):
    step = step or checkpoint.latest_step(Run(workdir))
    return checkpoint.restore(Run(workdir), step, CONFIG.model, make_mesh(CONFIG.mesh), TRAINING)


def change(config: Config, **train) -> Config:
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **train))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """An uninterrupted run of LONG."""
    workdir = tmp_path_factory.mktemp("finished")
    fit(LONG, workdir)
    return workdir


def test_killed_at_a_random_step_and_gone_on_with_equals_uninterrupted_bit_for_bit(finished, tmp_path):
    step = random.randint(1, 30)
    process = subprocess.Popen([sys.executable, "-m", "tests.train.run_fit", str(tmp_path)], cwd=ROOT)
    wait_for_step(tmp_path, step, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL, f"ended before step {step}"
    fit(LONG, tmp_path)
    assert metrics(tmp_path) == metrics(finished), f"killed after step {step}"
    assert [r["step"] for r in metrics(tmp_path)] == list(range(1, 41))
    jax.tree.map(np.testing.assert_array_equal, params(tmp_path), params(finished))


def test_sigterm_saves_the_step_and_leaves_cleanly(tmp_path):
    def terminate():
        wait_for_step(tmp_path, 2)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=terminate).start()
    with pytest.raises(Preempted, match=r"SIGTERM after step \d+, saved; the same command goes on from there"):
        fit(change(LONG, steps=100_000), tmp_path)
    assert signal.getsignal(signal.SIGTERM) == before
    step = checkpoint.latest_step(Run(tmp_path))
    assert 2 <= step < 100_000
    assert [r["step"] for r in metrics(tmp_path)] == list(range(1, step + 1))


def test_a_finished_run_keeps_the_last_checkpoints_and_the_tokenizer(finished):
    assert sorted(int(p.name) for p in (finished / "checkpoints").iterdir()) == [35, 40]
    assert checkpoint.latest_step(Run(finished)) == 40
    assert tokenizer.load(finished / "tokenizer").encode("Add 3") == make_tokenizer().encode("Add 3")
    assert list((finished / "tensorboard").iterdir())


def test_a_finished_run_learns_and_reports_what_it_did(finished):
    records = list(journal.read(finished / "metrics.jsonl"))
    first, last = records[0], records[-1]
    assert last["loss"] < first["loss"] - 1
    assert last["learning_rate"] == CONFIG.train.learning_rate
    for r in records:
        assert 0 < r["trained_tokens"] < r["packing_efficiency"] * CONFIG.train.batch_rows * ROW_LENGTH
        assert r["tokens_per_second"] == pytest.approx(
            r["packing_efficiency"] * CONFIG.train.batch_rows * ROW_LENGTH / r["seconds"]
        )


def test_steps_and_evaluation_may_change_on_resume_and_the_weights_are_not_asked_for_again(finished):
    config = dataclasses.replace(change(LONG, checkpoint_every=100), eval=dataclasses.replace(LONG.eval, slots=9))
    assert fit(config, finished)["step"] == 40  # nothing left to do


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (change(LONG, learning_rate=0.5), r"begun with train.learning_rate = 0.01, now it is 0.5; set it back"),
        (dataclasses.replace(LONG, seed=4), r"begun with seed = 3, now it is 4"),
    ],
)
def test_another_config_on_resume_is_refused_by_name_and_both_values(finished, config, message):
    with pytest.raises(UserError, match=message) as raised:
        fit(config, finished)
    assert "\n" not in str(raised.value)


def test_a_mesh_and_how_a_step_is_cut_may_change_and_the_losses_stay(tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    config = change(CONFIG, steps=8, checkpoint_every=4)
    fit(config, whole)
    fit(change(config, steps=4), halves)
    changed = dataclasses.replace(change(config, microbatches=1, remat="full"), mesh=Mesh(data=2, fsdp=2, tensor=2))
    fit(changed, halves)
    a, b = ([record["loss"] for record in metrics(folder)] for folder in (whole, halves))
    assert len(a) == len(b) == 8
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_workers_may_change_on_resume_and_the_run_stays_the_same(finished, tmp_path):
    with_workers = dataclasses.replace(LONG, data=dataclasses.replace(LONG.data, workers=2))
    fit(change(with_workers, steps=10), tmp_path)
    fit(LONG, tmp_path)
    assert metrics(tmp_path) == metrics(finished)


def test_a_second_process_on_a_workdir_is_refused_and_harms_nothing(tmp_path):
    process = subprocess.Popen([sys.executable, "-m", "tests.train.run_fit", str(tmp_path)], cwd=ROOT)
    wait_for_step(tmp_path, 3, process)
    with pytest.raises(UserError, match=r"lock is in use by another process; wait for it, or choose another"):
        fit(LONG, tmp_path)
    assert process.wait() == 0
    assert [r["step"] for r in metrics(tmp_path)] == list(range(1, 41))


def test_a_run_from_before_a_field_existed_goes_on(tmp_path, finished):
    """A newer field counts as its default; here one that has a default is taken out of what was written."""
    fit(LONG, finished)
    stored = Run(finished).config
    text = stored.read_text()
    older = json.loads(text)
    del older["sandbox"]["required_level"], older["mesh"]
    stored.write_text(json.dumps(older))
    assert fit(LONG, finished)["step"] == 40
    assert stored.read_text() == text


@pytest.mark.parametrize("item", ["params", "optimizer", "rows"])
def test_a_checkpoint_with_a_truncated_file_is_one_line_that_names_the_step_and_the_way_on(finished, tmp_path, item):
    """The largest file of each part; without that checkpoint, the run goes on from the one before."""
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    found = (copy / "checkpoints" / "40" / item).rglob("*")
    files = [path for path in found if path.is_file() and path.name != "commit_success.txt"]
    largest = max(files, key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    longer = change(LONG, steps=41)
    with pytest.raises(UserError, match=r"checkpoint of step 40 in .*/40 is damaged .*remove that folder") as e:
        fit(longer, copy)
    assert "\n" not in str(e.value)
    shutil.rmtree(copy / "checkpoints" / "40")
    assert fit(longer, copy)["step"] == 41


def test_parameters_that_do_not_fit_the_config_are_named(finished):
    other = dataclasses.replace(CONFIG.model, intermediate_size=24)
    with pytest.raises(UserError, match=r"layers.down is \[2, 16, 32\], but config.model makes it \[2, 16, 24\]"):
        checkpoint.restore(Run(finished), 40, other, make_mesh(CONFIG.mesh), TRAINING)
    other = dataclasses.replace(CONFIG.model, tie_embeddings=False)
    with pytest.raises(UserError, match=r"parameter head is missing, but config.model makes it \[384, 16\]"):
        checkpoint.restore(Run(finished), 40, other, make_mesh(CONFIG.mesh), TRAINING)


def test_a_missing_checkpoint_is_named(finished):
    with pytest.raises(UserError, match="no checkpoint of step 7 in"):
        params(finished, 7)


def test_an_unwritable_workdir_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*choose another --workdir") as raised:
        fit(CONFIG, tmp_path / "file" / "run")
    assert "\n" not in str(raised.value)
