"""Annotate as a user does, in real processes; killed and resumed = uninterrupted, several = one."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_evaluate import TINY, dsmath
from tests.conftest import ROOT
from tests.several import environments

MAINS = ("dsmath.cli.main", "tests.cli.knowing")  # the model of the run; one that is right at times
SAMPLES = 2 * 10 * 3  # languages, problems, samples


def command(main: str, workdir: Path, *args: str) -> list[str]:
    return [sys.executable, "-m", main, "annotate", "--config", TINY, "--workdir", str(workdir), "--json", *args]


def annotate(main: str, workdir: Path, *args: str) -> dict:
    done = subprocess.run(command(main, workdir, *args), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def refused(workdir: Path, *args: str) -> str:
    done = subprocess.run(command(MAINS[0], workdir, *args), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def without_paths(summary: dict) -> dict:
    return {name: value for name, value in summary.items() if name not in ("workdir", "annotated")}


def responses(folder: Path) -> dict[tuple[str, int], list]:
    lines = (folder / "embedded" / "trajectories.jsonl").read_text().splitlines()
    found = {(r["id"], r["sample"]): [r["prompt"], r["response"], r["stop"]] for r in map(json.loads, lines)}
    assert len(found) == len(lines), "nothing is done twice"
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    dsmath("prepare", folder)
    dsmath("train", folder)
    return folder


def copy(run: Path, folder: Path) -> Path:
    """A run of the same name, by which its checkpoint is called."""
    shutil.copytree(run, folder / run.name, ignore=shutil.ignore_patterns("annotations"))
    return folder / run.name


@pytest.mark.parametrize("main", MAINS)
def test_a_killed_annotation_goes_on_and_ends_the_same(trained, tmp_path, main):
    """SIGKILL after a random number of samples, a torn last line, then the same command."""
    whole, killed = copy(trained, tmp_path / "whole"), copy(trained, tmp_path / "killed")
    uninterrupted = annotate(main, whole)
    step = Path("annotations", str(uninterrupted["step"]), "tool")
    journal = killed / step / "embedded" / "trajectories.jsonl"
    wanted = random.randint(1, SAMPLES // 2)
    process = subprocess.Popen(command(main, killed), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") >= wanted):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / step / "annotated.jsonl").exists(), "killed too late to show anything"
    with journal.open("ab") as file:
        file.write(b'{"id": "embedded-embedded-en-tr')
    again = annotate(main, killed)
    assert without_paths(again) == without_paths(uninterrupted)
    assert again["samples"] == SAMPLES
    assert responses(killed / step) == responses(whole / step)
    assert (killed / step / "annotated.jsonl").read_bytes() == (whole / step / "annotated.jsonl").read_bytes()
    assert json.loads((killed / step / "summary.json").read_text()) == again


@pytest.fixture(scope="module")
def known(trained, tmp_path_factory) -> tuple[Path, dict]:
    """What the model that is right at times gave."""
    run = copy(trained, tmp_path_factory.mktemp("known"))
    return run, annotate(MAINS[1], run)


def test_what_is_kept_is_right_different_and_no_more_than_asked_for(known):
    _, summary = known
    lines = [json.loads(line) for line in Path(summary["annotated"]).read_text().splitlines()]
    assert len(lines) == summary["kept"] > 10
    by_problem: dict[str, list] = {}
    for line in lines:
        by_problem.setdefault(line["row"], []).append(line)
        assert line["turns"][-1].endswith(f"\\boxed{{{line['answer']}}}.") or line["answer"] in line["turns"][-1]
        assert (line["source"], line["mode"], line["checkpoint"]) == ("embedded", "tool", "knowing")
    assert len(by_problem) == summary["solved"]
    assert max(map(len, by_problem.values())) == 2
    assert summary["kept"] + sum(summary["fell"].values()) == summary["samples"] == SAMPLES
    assert summary["fell"]["a program as before"] > 0
    assert 0 < summary["correct"] < SAMPLES
    assert {lang: part["samples"] for lang, part in summary["langs"].items()} == {"en": 30, "zh": 30}
    assert summary["sources"]["embedded"]["kept"] == summary["kept"]


def test_what_is_kept_is_a_source_of_the_next_training_set_to_the_last_line(known, tmp_path):
    _, summary = known
    (tmp_path / "annotated").mkdir()
    shutil.copy(summary["annotated"], tmp_path / "annotated" / "first.jsonl")
    both = ("--config.data.sources=('embedded','annotated')", "--data_dir", str(tmp_path))
    manifest = dsmath("prepare", tmp_path / "run", *both)
    assert manifest["sources"]["annotated"]["modes"]["tool"]["verified"] == summary["kept"]


def test_keeping_fewer_asks_nothing_again(known, tmp_path):
    run = copy(known[0], tmp_path)
    shutil.copytree(known[0] / "annotations", run / "annotations")
    journal = run / "annotations" / str(known[1]["step"]) / "tool" / "embedded" / "trajectories.jsonl"
    before = journal.read_bytes()
    fewer = annotate(MAINS[1], run, "--config.annotate.keep=1", "--config.annotate.limit=8")
    assert fewer["problems"] == 8
    assert fewer["kept"] == fewer["solved"] > 0
    assert journal.read_bytes() == before


def test_two_processes_write_what_one_does(known, trained, tmp_path):
    run = copy(trained, tmp_path)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    several = [
        subprocess.Popen(command(MAINS[1], run), cwd=ROOT, env=own, **pipes) for own in environments(2, devices=1)
    ]
    (first, _), (second, errors) = (process.communicate(timeout=400) for process in several)
    assert [process.returncode for process in several] == [0, 0], errors
    summary = json.loads(first.splitlines()[-1])
    assert without_paths(summary) == without_paths(known[1])
    assert second == "", "the first one chooses, and says so"
    assert Path(summary["annotated"]).read_bytes() == Path(known[1]["annotated"]).read_bytes()


def test_problems_that_the_training_set_solves_are_left_out_if_asked_to(trained, tmp_path):
    run = copy(trained, tmp_path)
    unsolved = ("--config.annotate.unsolved=True", "--config.annotate.embedded_problems=42")
    skipped = annotate(MAINS[0], run, *unsolved)["sources"]["embedded"]
    assert (skipped["problems"], skipped["skipped"]) == (4, {"has a solution in the training set": 80})
    assert "no problem is left" in refused(run, "--config.annotate.unsolved=True")


def test_an_exported_folder_writes_what_the_run_does(trained, tmp_path):
    ours, out = copy(trained, tmp_path), tmp_path / "hf"
    dsmath("convert", ours, "--out", str(out), "--dtype", "float32")
    theirs = annotate(MAINS[0], tmp_path / "theirs", "--weights", str(out))
    assert theirs["step"] == 0
    mine = annotate(MAINS[0], ours)
    found = [responses(Path(summary["annotated"]).parent) for summary in (theirs, mine)]
    assert found[0] == found[1]


def test_other_settings_do_not_mix_into_a_journal(known, tmp_path):
    run = copy(known[0], tmp_path)
    annotate(MAINS[0], run, "--config.annotate.limit=2")
    assert "temperature = 1.0, now it is 0.5" in refused(
        run, "--config.annotate.limit=2", "--config.annotate.temperature=0.5"
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--config.annotate.mode=cots"], ["config.annotate.mode is 'cots'", "cot, tool, pot"]),
        (["--config.annotate.sources=('gsm9k',)"], ["gsm9k", "expected one or more of embedded"]),
        (["--config.annotate.protocol=dsp"], ["dsp", "reference"]),
        (["--config.annotate.sources=('gsm8k',)", "--data_dir", "nowhere"], ["nowhere/gsm8k", "--allow_missing"]),
        (["--template", "chatml"], ["--template is for --weights"]),
    ],
)
def test_a_mistake_is_one_line(trained, args, words):
    line = refused(trained, *args)
    assert all(word in line for word in words), line
