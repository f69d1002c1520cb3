"""A small model of random weights, asked as a system of Table 5 is, in real processes."""

import json
from pathlib import Path

import pytest
import transformers

from dsmath.text import tokenizer
from tests.cli.test_runs import plain, refused

CONFIG = """
from dsmath import recipes

def get_config():
    limits = recipes.sandbox(timeout_s=3.0)
    return recipes.experiment(mesh=recipes.mesh(), eval=recipes.evaluation(max_new=8), sandbox=limits)
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hf") / "random"
    tokenizer.train(["print(12 * 34)\nThe answer is 408."] * 4, vocab_size=300).save(folder)
    arch = transformers.LlamaConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=256, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    transformers.LlamaForCausalLM(arch).save_pretrained(folder)
    return folder


def evaluated(weights: Path, workdir: Path, *args: str) -> tuple[dict, list[dict]]:
    """The pinned settings of the one evaluation that there is then, and its records."""
    common = ("--weights", str(weights), "--workdir", str(workdir), "--suites", "embedded", "--limit", "2")
    done = plain("evaluate", *common, *args)
    assert done.returncode == 0, done.stderr
    (folder,) = (workdir / "evals" / "0").iterdir()
    records = [json.loads(line) for line in (folder / "trajectories.jsonl").read_text().splitlines()]
    return json.loads((folder / "settings.json").read_text()), records


def test_a_system_samples_at_its_own_temperature_unless_a_config_says_otherwise(weights, tmp_path):
    system = ("--system", "numinamath-7b-tir")  # which has one mode
    settings, records = evaluated(weights, tmp_path / "own", *system)
    assert (settings["system"], settings["template"], settings["protocol"]) == (
        *("numinamath-7b-tir", "numinamath"),
        "numinamath",
    )
    assert (settings["temperature"], settings["max_new"], settings["rounds"]) == (0.8, 2048, 4)
    assert settings["sandbox.timeout_s"] == 5.0
    assert all(record["prompt"]["text"].startswith("### Problem: ") for record in records)
    config = tmp_path / "greedy.py"
    config.write_text(CONFIG)
    settings, _ = evaluated(weights, tmp_path / "config", *system, "--modes", "tool", "--config", str(config))
    assert (settings["system"], settings["temperature"], settings["max_new"]) == ("numinamath-7b-tir", 0.0, 8)
    assert settings["sandbox.timeout_s"] == 3.0


def test_a_journal_is_pinned_to_the_examples_before_its_questions(weights, tmp_path):
    examples, system = tmp_path / "examples", ("--system", "qwen-72b", "--modes", "cot")
    examples.mkdir()
    (examples / "embedded-cot.txt").write_text("Question: 1 + 1?\nThe answer is 2\n")
    common = (*system, "--examples", str(examples))
    settings, records = evaluated(weights, tmp_path / "run", *common)
    assert settings["template"].startswith("qwen-72b with examples ")
    assert all(r["prompt"]["text"].startswith("Question: 1 + 1?\nThe answer is 2\n\nQuestion: ") for r in records)
    (examples / "embedded-cot.txt").write_text("Question: 1 + 1?\nThe answer is 3\n")
    where = ("--weights", str(weights), "--workdir", str(tmp_path / "run"), "--suites", "embedded", "--limit", "2")
    assert "template = " in refused("evaluate", *where, *common)
    assert "expected --examples FOLDER with embedded-cot.txt" in refused("evaluate", *where, *system)


def test_a_program_that_answers_nothing_is_followed_by_a_chain_of_thought_to_the_report(weights, tmp_path):
    """Of weights that write nonsense: nothing prints, so that all are asked again; scored again from the journal."""
    workdir = tmp_path / "run"
    _, records = evaluated(weights, workdir, "--system", "mammoth-70b", "--modes", "pot")
    for record in records:
        (attempt,) = record["attempts"]
        assert attempt["prompt"]["text"].endswith(" Let's write a program.\n\n### Response:")
        assert record["prompt"]["text"].endswith("\n\n### Response:")
        assert "Let's write" not in record["prompt"]["text"]
    done = plain("score", "--workdir", str(workdir), "--grader", "all", "--json")
    assert done.returncode == 0, done.stderr
    (summary,) = json.loads(done.stdout.splitlines()[-1])["summaries"]
    assert (summary["n"], summary["mode"], summary["template"]) == (2, "pot", "mammoth")
    done = plain("report", "--workdir", str(workdir), "--json")
    assert done.returncode == 0, done.stderr
    pages = [path.read_text() for path in (workdir / "report").rglob("*") if path.suffix in (".md", ".html")]
    assert any("MAmmoTH" in page for page in pages)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--system", "gpt"], "no system is named 'gpt'"),
        (["--system", "tora-code-34b", "--modes", "cot"], "tora-code-34b isn't asked in mode 'cot'"),
        (["--system", "tora-code-34b", "--modes", "tool", "--examples", "x"], "is asked without examples"),
        (["--system", "qwen-72b", "--modes", "cot", "--examples", "nowhere"], "nowhere, which is no folder"),
        (["--modes", "cot", "--examples", "nowhere"], "without the --system"),
        (["--system", "tora-code-34b", "--template", "chatml"], "--template is chatml, but tora-code-34b has its own"),
    ],
)
def test_a_mistake_about_a_system_is_one_line(weights, tmp_path, args, words):
    where = ("--weights", str(weights), "--workdir", str(tmp_path), "--suites", "embedded")
    assert words in refused("evaluate", *where, *args)
