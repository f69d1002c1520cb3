"""What a user types, as real processes: help, and a line for every mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsmath.cli.main import VERBS

TINY = str(Path(__file__).parent / "tiny.py")


def dsmath(*args: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dsmath.cli.main", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def complaint(*args: str) -> str:
    """The one line that a mistake is answered with."""
    done = dsmath(*args)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return lines[-1]


def test_help_names_every_verb():
    done = dsmath("--help")
    assert done.returncode == 0
    assert all(f"  {verb} " in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb):
    done = dsmath(verb, "--help")
    assert done.returncode == 0
    assert f"dsmath {verb} --" in done.stdout
    assert ("--workdir" in done.stdout) is (verb not in ("run", "doctor", "plan", "systems"))


def test_help_loads_no_heavy_library():
    code = "import sys; sys.argv = ['dsmath', 'train', '--help']; from dsmath.cli import main; main.main(); "
    code += "print([m for m in ('jax', 'flax', 'grain', 'orbax', 'sympy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["trian"], ["trian", "train"]),
        (["train", "--confg", TINY], ["confg", "--help"]),
        (["train", "x"], ["'x'"]),
        (["train"], ["--config", "configs/sft_demo.py"]),
        (["train", "--config", "nowhere.py"], ["nowhere.py", "get_config()"]),
        (["train", "--config", TINY], ["--workdir", "runs/"]),
        (["train", "--config", TINY, "--config.train.stepz=3"], ["stepz", "steps"]),
        (["train", "--config", TINY, "--config.train.steps=many"], ["config.train.steps", "many"]),
        (["train", "--config", TINY, "--config.start.template=alpaca"], ["alpaca", "reference"]),
        (["train", "--config", TINY, "--config.train.checkpoint_every=0"], ["checkpoint_every is 0", "at least 1"]),
        (["train", "--config", TINY, "--config.train.microbatches=-1"], ["microbatches is -1", "at least 1"]),
        (["train", "--config", TINY, "--config.train.beta1=1.5"], ["beta1 is 1.5", "0 to 1"]),
        (["train", "--config", TINY, "--workdir", "/proc/nothing"], ["/proc/nothing", "dsmath prepare"]),
        (["prepare", "--config", TINY, "--workdir", "/proc/nothing"], ["/proc/nothing"]),
        (["plan", "--config", TINY], ["--topology", "v5e:4x4"]),
        (["plan", "--config", TINY, "--topology", "v5e:4by4"], ["v5e:4by4", "v5e:4x4"]),
        (
            ["evaluate", "--config", TINY, "--workdir", "x", "--config.eval.suites=('svamp',)", "--data_dir", "no"],
            ["svamp"],
        ),
        (["evaluate", "--config", TINY, "--workdir", "x", "--config.eval.suites=('aime',)"], ["aime", "gsm8k"]),
        (["score", "--workdir", "/nowhere"], ["/nowhere", "dsmath evaluate"]),
        (["report", "--workdir", "/nowhere"], ["/nowhere", "dsmath evaluate"]),
    ],
)
def test_a_mistake_is_answered_with_one_line(args, words):
    line = complaint(*args)
    assert all(word in line for word in words), line


def test_an_empty_data_folder(tmp_path):
    line = complaint(
        "evaluate", "--config", TINY, "--workdir", str(tmp_path), "--data_dir", str(tmp_path),
        "--config.eval.suites=('gsm8k',)",
    )  # fmt: skip
    assert str(tmp_path / "gsm8k" / "test.jsonl") in line


def test_print_config_prints_what_would_be_used_and_does_nothing(tmp_path):
    workdir = tmp_path / "run"
    done = dsmath("train", "--config", TINY, "--workdir", str(workdir), "--config.train.steps=7", "--print_config")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["train"]["steps"] == 7
    assert not workdir.exists()


@pytest.mark.parametrize(("args", "goes_on"), [(["train", "--config", TINY], True), (["doctor"], False)])
def test_interrupted_a_verb_says_that_it_goes_on_only_where_that_is_true(args, goes_on, tmp_path):
    """Interrupted while the verb runs, which here is at once."""
    code = (
        "import sys; from dsmath.cli import main, train, doctor\n"
        "def stop(values): raise KeyboardInterrupt\n"
        "train.run = doctor.run = stop\n"
        "main.main()"
    )
    line = [sys.executable, "-c", code, *args]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    said = f"dsmath {args[0]}: interrupted" + "; the same command goes on from here" * goes_on
    assert done.stderr.splitlines()[-1] == said


def test_json_is_the_last_line_of_stdout(tmp_path):
    done = dsmath("prepare", "--config", TINY, "--workdir", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["examples"] == 160
