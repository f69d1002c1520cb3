"""An evaluation by several processes is that of one, whoever is killed meanwhile."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli import several
from tests.cli.test_evaluate import TINY, dsmath, without_times

TWO_DEVICES = ("--config", TINY, "--config.mesh.tensor=2")
LONG = (*TWO_DEVICES, "--config.eval.modes=('cot',)", "--config.eval.limit=80")
PROBLEMS = 80


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    dsmath("prepare", folder)
    dsmath("train", folder)
    return folder


def copy(run: Path, folder: Path) -> Path:
    """A run to evaluate, with the name that the checkpoint is called by."""
    subprocess.run(["cp", "-r", str(run), str(folder / run.name)], check=True)
    return folder / run.name


def summaries(stdout: list[str]) -> list[dict]:
    return [without_times(summary) for summary in json.loads(stdout[-1])["summaries"]]


def records(path: Path) -> dict[tuple[str, int], list]:
    """What was answered, by problem and sample; a line that a killed process left unfinished holds no answer."""
    *whole, _ = path.read_text().split("\n")
    lines = [json.loads(line) for line in whole]
    found = {(line["id"], line["sample"]): [line["prompt"], line["response"], line["stop"]] for line in lines}
    assert len(found) == len(lines), "nothing is done twice"
    return found


@pytest.fixture(scope="module")
def alone(trained, tmp_path_factory) -> tuple[Path, list[dict]]:
    """The evaluation LONG of one process."""
    run = copy(trained, tmp_path_factory.mktemp("alone"))
    (process,) = several.start(run, 1, *LONG)
    code, stdout, stderr = several.ended(process)
    assert code == 0, stderr
    return run, summaries(stdout)


def test_two_processes_write_the_journal_and_the_summary_of_one(trained, alone, tmp_path):
    run = copy(trained, tmp_path)
    first, second = map(several.ended, several.start(run, 2, *LONG))
    assert (first[0], second[0]) == (0, 0), (first[2], second[2])
    assert summaries(first[1]) == alone[1]
    assert second[1] == [], "the first one scores, and says so"
    (folder,) = run.glob("evals/4/*")
    assert sorted(path.name for path in folder.glob("trajectories*")) == ["trajectories.jsonl"]
    assert "embedded-cot at step 4, 2 of 2" in "".join(second[2])
    assert records(folder / "trajectories.jsonl") == records(alone[0] / folder.relative_to(run) / "trajectories.jsonl")


def test_whoever_is_killed_the_same_command_goes_on_with_any_number_of_processes(trained, alone, tmp_path):
    run = copy(trained, tmp_path)
    folder = run / "evals" / "4" / "embedded-cot"

    def killed_meanwhile(processes: int, killed: int) -> list[tuple[int, list[str], list[str]]]:
        started = several.start(run, processes, *LONG, main="tests.cli.impatient")
        part = folder / ("trajectories.1.jsonl" if killed else "trajectories.jsonl")
        wanted = 2 + (part.read_bytes().count(b"\n") if part.exists() else 0)
        while not (part.exists() and part.read_bytes().count(b"\n") >= wanted):
            assert started[killed].poll() is None
            time.sleep(0.002)
        started[killed].kill()
        return [several.ended(process) for process in started]

    def done() -> dict[tuple[str, int], list]:
        parts = [records(path) for path in folder.glob("trajectories*")]
        whole = {key: answer for part in parts for key, answer in part.items()}
        assert len(whole) == sum(map(len, parts)), "nothing is done twice"
        return whole

    first, other = killed_meanwhile(2, killed=0)
    assert (first[0], other[0]) == (-9, 0), "the other one does what it was given"
    before = done()
    assert PROBLEMS // 2 < len(before) < PROBLEMS

    first, *others = killed_meanwhile(3, killed=1)
    assert [code for code, *_ in (first, *others)] == [75, -9, 0], first[2]
    assert "responses of" in first[2][-1]
    assert "the same command, on any number of processes, goes on from here" in first[2][-1]
    again = done()
    assert before.items() < again.items()
    assert len(again) < PROBLEMS
    (scored,) = dsmath("score", run)["summaries"]
    assert scored["n"] == len(again), "parts that nobody put together count"

    (process,) = several.start(run, 1, *LONG)
    code, stdout, stderr = several.ended(process)
    assert code == 0, stderr
    assert summaries(stdout) == alone[1]
    assert [path.name for path in folder.glob("trajectories*")] == ["trajectories.jsonl"]
    assert again.items() < done().items()
    assert done() == records(alone[0] / "evals" / "4" / "embedded-cot" / "trajectories.jsonl")
