"""Train, evaluate, score, report and convert as a user does, in real processes; killed and resumed = uninterrupted."""

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
import transformers

from dsmath import config
from dsmath.engine import memory
from dsmath.model import paged
from dsmath.sharding import make_mesh
from tests.cli import tiny

TINY = str(Path(__file__).parent / "tiny.py")


def command(verb: str, workdir: Path, *args: str) -> list[str]:
    config = [] if verb in ("score", "report") else ["--config", TINY]
    return [sys.executable, "-m", "dsmath.cli.main", verb, *config, "--workdir", str(workdir), "--json", *args]


def dsmath(verb: str, workdir: Path, *args: str) -> dict:
    done = subprocess.run(command(verb, workdir, *args), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def without_times(summary: dict) -> dict:
    """But for what differs from run to run: how long it took."""
    spread = {name: None for name in ("cpu_s", "wall_s", "peak_mb")}
    return summary | {"cost": summary["cost"]["generated_tokens"], "tools": summary["tools"] | spread}


def samples(workdir: Path, name: str) -> list[dict]:
    lines = (workdir / "evals" / "4" / name / "trajectories.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len({(record["id"], record["sample"]) for record in records}) == len(records)
    return records


def journal(workdir: Path, name: str) -> dict[str, dict]:
    return {record["id"]: record for record in samples(workdir, name)}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> Path:
    """A run that was prepared and trained."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    dsmath("prepare", folder)
    assert dsmath("train", folder)["step"] == 4
    return folder


@pytest.fixture(scope="module")
def evaluated(workdir) -> dict:
    return dsmath("evaluate", workdir)


def test_every_suite_and_mode_is_scored(workdir, evaluated):
    assert evaluated["step"] == 4
    assert [(s["suite"], s["mode"], s["n"]) for s in evaluated["summaries"]] == [
        ("embedded", "cot", 12),
        ("embedded", "tool", 12),
    ]
    for summary in evaluated["summaries"]:
        low, high = summary["interval"]
        assert 0 <= low <= summary["accuracy"] <= high <= 100


def pool_share(pages: int) -> float:
    """What leaves room for so many pages, or one less if memory gets scarce meanwhile."""
    arch = config.parse(config.Arch, tiny.get_config().model.to_dict(), path="config.model")
    page_bytes = paged.page_bytes(paged.XLA, arch, paged.XLA.page_tokens, "float32")
    return (pages + 0.5) * page_bytes / memory.share(make_mesh(config.Mesh(1, 1, 1)), 1.0, of=1)


def test_a_killed_evaluation_goes_on_and_ends_the_same(workdir, tmp_path):
    """SIGKILL after a random number of finished problems, a torn last line, then the same command; before with one
    sequence at a time, then with many in a pool that holds two or three. Responses are sampled.
    """
    whole, copy = (tmp_path / name / workdir.name for name in ("whole", "killed"))
    sampled = "--config.eval.temperature=0.8"
    for folder in (whole, copy):
        shutil.copytree(workdir, folder, ignore=shutil.ignore_patterns("evals"))
    evaluated = dsmath("evaluate", whole, sampled)
    path = copy / "evals" / "4" / "embedded-cot" / "trajectories.jsonl"
    wanted = random.randint(1, 11)
    one = command("evaluate", copy, sampled, "--config.eval.slots=1")
    process = subprocess.Popen(one, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (path.exists() and path.read_bytes().count(b"\n") >= wanted):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with path.open("ab") as file:
        file.write(b'{"id": "embedded-en-te')
    crowded = ("--config.eval.slots=12", f"--config.eval.pool_share={pool_share(pages=6)}")
    again = dsmath("evaluate", copy, sampled, *crowded)
    assert list(map(without_times, again["summaries"])) == list(map(without_times, evaluated["summaries"]))
    for name in ("embedded-cot", "embedded-tool"):
        before, after = journal(whole, name), journal(copy, name)
        assert before.keys() == after.keys()
        assert all(before[id]["response"] == after[id]["response"] for id in before)


def test_other_settings_do_not_mix_into_a_journal(workdir, evaluated):
    done = subprocess.run(
        command("evaluate", workdir, "--config.eval.max_new=30"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "max_new = 24, now it is 30" in done.stderr.splitlines()[-1]


def test_samples_programs_of_thought_and_other_protocols_have_journals_of_their_own(workdir, tmp_path):
    copy = tmp_path / workdir.name
    subprocess.run(["cp", "-r", str(workdir), str(copy)], check=True)
    flags = ["--config.eval.modes=('pot','tool')", "--config.eval.protocol=strict", "--config.eval.limit=3"]
    flags += ["--config.eval.samples=2", "--config.eval.temperature=1.0"]
    summaries = dsmath("evaluate", copy, *flags)["summaries"]
    assert [(s["mode"], s["protocol"], s["grader"], s["n"]) for s in summaries] == [
        ("pot", "strict", "strict", 6),
        ("tool", "strict", "strict", 6),
    ]
    records = samples(copy, "embedded-tool-strict")
    assert len(records) == 6
    assert len({str(record["response"]) for record in records}) > 3, "samples differ"


def test_scoring_again_changes_nothing(workdir, evaluated):
    scores = workdir / "evals" / "4" / "embedded-tool" / "scores.jsonl"
    before = scores.read_text()
    assert dsmath("score", workdir)["summaries"] == evaluated["summaries"]
    assert scores.read_text() == before


def test_the_report_shows_what_was_scored(workdir, evaluated):
    result = dsmath("report", workdir)
    assert [r["n"] for r in result["results"]] == [12, 12]
    assert "| 12 |" in Path(result["markdown"]).read_text()


def test_a_converted_checkpoint_loads_in_transformers(workdir, tmp_path):
    dsmath("convert", workdir, "--out", str(tmp_path / "hf"))
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert model.config.num_hidden_layers == 2
    assert tokenizer.decode(tokenizer.encode("12 apples", add_special_tokens=False)) == "12 apples"


def test_a_prompt_longer_than_the_cache_costs_only_its_problem(workdir, tmp_path):
    copy = tmp_path / workdir.name
    subprocess.run(["cp", "-r", str(workdir), str(copy)], check=True)
    lengths = (
        len(r["prompt"]["ids"]) + len(r["response"][0]["ids"]) for r in journal(workdir, "embedded-cot").values()
    )
    shortest = min(lengths)
    result = dsmath("evaluate", copy, "--step=2", f"--config.eval.cache_length={shortest - 20}")
    stops = result["summaries"][0]["stops"]
    assert stops["too_long"] > 0
    assert sum(stops.values()) == 12
