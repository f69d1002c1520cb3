"""What belongs to a run stays: its model, its data, its journals; as real processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import transformers

from tests.cli.test_evaluate import TINY, command, dsmath


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    dsmath("prepare", folder)
    dsmath("train", folder)
    return folder


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("hf") / "tiny-hf"
    dsmath("convert", trained, "--out", str(out), "--dtype", "float32")
    return out


def plain(verb: str, *args: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    line = [sys.executable, "-m", "dsmath.cli.main", verb, *args]
    return subprocess.run(line, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def refused(*args: str) -> str:
    done = plain(*args)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_run_is_evaluated_as_the_model_that_was_trained_without_any_config(trained):
    done = plain("evaluate", "--workdir", str(trained), "--limit", "4", "--modes", "cot", "--json")
    assert done.returncode == 0, done.stderr
    (summary,) = json.loads(done.stdout.splitlines()[-1])["summaries"]
    assert (summary["n"], summary["template"], summary["settings"]["model.rope_theta"]) == (4, "reference", 1000.0)
    assert summary["cost"]["generated_tokens"] > 0
    assert summary["cost"]["tokens_per_s"] > 0


@pytest.mark.parametrize("verb", ["evaluate", "convert"])
def test_flags_that_contradict_the_run_are_refused(trained, tmp_path, verb):
    """Another rope theta on a finished run used to give no right answer, exit code 0 and no word."""
    out = ["--out", str(tmp_path / "out")] if verb == "convert" else []
    for flag, words in (
        ("--config.model.rope_theta=1e6", "model.rope_theta = 1000.0, now it is 1000000.0"),
        ("--config.start.template=chatml", "start.template = 'reference', now it is 'chatml'"),
    ):
        assert words in refused(verb, "--config", TINY, "--workdir", str(trained), flag, *out)


@pytest.mark.parametrize(
    ("flag", "field"),
    [
        ("--config.data.modes=('cot',)", "data.modes.embedded"),
        ("--config.data.embedded_problems=41", "data.embedded_problems"),
        ("--config.seed=5", "seed"),
    ],
)
def test_training_on_a_set_that_was_prepared_for_something_else_is_refused(trained, flag, field):
    assert f"was begun with {field} = " in refused("train", "--config", TINY, "--workdir", str(trained), flag)


@pytest.mark.parametrize(
    ("flag", "setting"),
    [
        ("--config.sandbox.timeout_s=6.0", "sandbox.timeout_s = 5.0, now it is 6.0"),
        ("--config.eval.temperature=0.5", "temperature = 0.0, now it is 0.5"),
        ("--config.eval.cache_length=300", "cache_length = 512, now it is 300"),
    ],
)
def test_a_journal_pins_what_its_figures_depend_on(trained, flag, setting):
    arguments = ["--workdir", str(trained), "--limit", "4", "--modes", "cot"]
    assert plain("evaluate", *arguments).returncode == 0
    assert setting in refused("evaluate", "--config", TINY, *arguments, flag)


def test_a_smaller_limit_scores_the_problems_that_it_asks_for(trained):
    arguments = ["--workdir", str(trained), "--modes", "cot", "--json"]
    sizes = []
    for limit in ("6", "3"):
        done = plain("evaluate", *arguments, "--limit", limit)
        sizes.append(json.loads(done.stdout.splitlines()[-1])["summaries"][0]["n"])
    assert sizes == [6, 3]


def test_two_evaluations_at_a_time_do_not_share_a_journal(trained, tmp_path):
    copy = tmp_path / trained.name
    subprocess.run(["cp", "-r", str(trained), str(copy)], check=True)
    journal = copy / "evals" / "0" / "embedded-cot" / "trajectories.jsonl"
    line = command("evaluate", copy, "--step=0", "--config.eval.limit=200", "--config.eval.modes=('cot',)")
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not journal.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)  # it holds its journal, however fast it is
    try:
        assert "trajectories.jsonl is in use by another process" in refused(*line[3:])
    finally:
        process.kill()
        process.wait()


def test_an_exported_folder_is_evaluated_without_a_config_and_writes_the_same_tokens(trained, exported, tmp_path):
    done = plain("evaluate", "--weights", str(exported), "--suites", "embedded", "--limit", "4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Accuracy in %" in done.stdout
    assert f"Written to runs/{exported.name}/evals/0" in done.stdout
    assert plain("evaluate", "--workdir", str(trained), "--limit", "4").returncode == 0
    for mode in ("cot", "tool"):
        theirs = tmp_path / "runs" / exported.name / "evals" / "0" / f"embedded-{mode}" / "trajectories.jsonl"
        ours = trained / "evals" / "4" / f"embedded-{mode}" / "trajectories.jsonl"
        theirs, ours = (
            {r["id"]: r["prompt"]["ids"] + r["response"][0]["ids"] for r in map(json.loads, p.read_text().splitlines())}
            for p in (theirs, ours)
        )
        assert len(theirs) == 4
        assert all(ids[: len(ours[id])] == ours[id] for id, ids in theirs.items()), "but for a larger budget"


def test_an_exported_folder_serves_the_prompt_that_was_trained(exported, trained):
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported)
    record = json.loads((trained / "evals" / "4" / "embedded-cot" / "trajectories.jsonl").read_text().splitlines()[0])
    question = record["question"]
    start = record["prompt"]["text"].index(question)
    content = record["prompt"]["text"][start : -len("\n\nAssistant:")]
    message = [{"role": "user", "content": content}]
    rendered = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    assert rendered == tokenizer.bos_token + record["prompt"]["text"]
    ids = tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=False)
    assert ids == record["prompt"]["ids"]
    generation = transformers.GenerationConfig.from_pretrained(exported)
    assert (generation.eos_token_id, generation.do_sample) == (tokenizer.eos_token_id, False)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--weights", "{exported}"], ["--suites is missing", "gsm8k,math"]),
        (["--weights", "nowhere", "--suites", "embedded"], ["nowhere", "config.json"]),
        (["--weights", "{exported}", "--suites", "embedded", "--workdir", "{trained}"], ["was trained", "--workdir"]),
        (["--weights", "{exported}", "--suites", "embedded", "--template", "alpaca"], ["alpaca", "reference"]),
        (["--workdir", "{trained}", "--template", "chatml"], ["--template is for --weights"]),
        (["--workdir", "{trained}", "--limit", "0"], ["config.eval.limit is 0", "at least 1"]),
        (["--workdir", "{trained}", "--modes", "cots"], ["'cots'", "cot, tool, pot"]),
    ],
)
def test_a_mistake_about_weights_is_one_line(exported, trained, args, words):
    line = refused("evaluate", *(arg.format(exported=exported, trained=trained) for arg in args))
    assert all(word in line for word in words), line


def test_a_folder_is_asked_by_its_own_chat_template_unless_it_changes_the_question(exported, tmp_path):
    folder, run = tmp_path / "hf", tmp_path / "x"
    subprocess.run(["cp", "-r", str(exported), str(folder)], check=True)
    asked = ("evaluate", "--weights", str(folder), "--suites", "embedded", "--workdir", str(run), "--limit", "1")
    (folder / "chat_template.jinja").write_text("Q: {{ messages[0].content }} A:")
    assert plain(*asked, "--modes", "cot").returncode == 0
    record = json.loads((run / "evals" / "0" / "embedded-cot" / "trajectories.jsonl").read_text().splitlines()[0])
    assert record["prompt"]["text"].startswith(f"Q: {record['question']}\n")
    assert record["prompt"]["text"].endswith(" A:")
    (folder / "chat_template.jinja").write_text("{{ messages[0].content.upper() }}")
    assert "changes or repeats what the user says; choose one of ours with --template" in refused(*asked)


def test_a_run_starts_from_sharded_weights_as_from_their_folder(exported, trained, tmp_path):
    out = tmp_path / "sharded"
    done = plain("convert", "--weights", str(exported), "--out", str(out))
    assert done.returncode == 0, done.stderr
    first = []
    for source in (exported, out):
        run = tmp_path / f"from-{source.name}"
        shutil.copytree(trained / "data", run / "data")
        dsmath("train", run, f"--config.start.weights={source}", "--config.start.tokenizer=weights",
               "--config.train.steps=1", "--config.mesh.fsdp=2", "--config.mesh.data=1")  # fmt: skip
        first.append(json.loads((run / "metrics.jsonl").read_text().splitlines()[0]))
    assert first[0]["loss"] == first[1]["loss"]
    assert first[0]["grad_norm"] == first[1]["grad_norm"]
    assert "holds weights already" in refused("convert", "--weights", str(exported), "--out", str(out))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["--out is missing"]),
        (["--out", "x", "--weights", "nowhere"], ["nowhere", "config.json"]),
        (["--out", "x", "--weights", "y", "--workdir", "z"], ["--workdir is of a run"]),
        (["--out", "x"], ["--workdir is missing"]),
    ],
)
def test_a_mistake_about_what_to_convert_is_one_line(args, words):
    line = refused("convert", *args)
    assert all(word in line for word in words), line
