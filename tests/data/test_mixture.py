"""Preparing a training set, and reading it back."""

import collections
import dataclasses
import json
import pickle
import signal
import subprocess
import sys
import time

import pytest

from dsmath import config
from dsmath.data import gsm8k, mixture
from dsmath.error import UserError
from dsmath.suites.embedded import generate

ROW = {"question": "How much is 12 x 34?", "answer": "12*34=<<12*34=408>>408 in all.\n#### 408"}


def settings(sources=("embedded",), modes=("cot", "tool"), problems=20, seed=0) -> config.Config:
    return config.Config(
        seed=seed,
        model=config.Arch(64, 8, 16, 1, 1, 1, 8, 1e4, 1e-6, True, 64),
        start=config.Start("random", "train", "reference"),
        mesh=config.Mesh(-1, 1, 1),
        data=config.Data(sources, modes, problems, row_length=64, packing_bins=2),
        train=config.Train(1, 1, 1, 1e-3, 0, 0.9, 0.95, 0.0, 1.0, False, False, 1, 1),
        eval=config.Eval(("embedded",), modes, "reference", 1, 1, 1, 64, 1, 8, 2, 0.0, 1.0, 0, "reference"),
        sandbox=config.Sandbox(timeout_s=5.0, memory_mb=512, output_kb=16, workers=2, required_level="L1"),
    )


@pytest.fixture
def data_dir(tmp_path):
    folder = tmp_path / "published"
    (folder / "gsm8k").mkdir(parents=True)
    rows = [ROW, ROW | {"answer": "It is plain.\n#### 408"}]
    (folder / "gsm8k" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_what_is_read_back_is_what_the_sources_gave(tmp_path, data_dir):
    wanted = settings(sources=("embedded", "gsm8k"))
    mixture.prepare(wanted, tmp_path / "data", data_dir)
    problems = [p for lang in ("en", "zh") for p in generate.generate("train", lang, 20, 0)]
    given = [generate.to_example(p, mode) for p in problems for mode in ("cot", "tool")]
    rows = gsm8k.read(data_dir / "gsm8k" / "train.jsonl")
    given += gsm8k.examples(rows, ("cot", "tool"), wanted.sandbox, collections.Counter())
    examples = mixture.examples(tmp_path / "data")
    found = {e.id: e for e in (examples[i] for i in range(len(examples)))}
    assert found == {e.id: e for e in given}
    assert len(examples) == len(given)


def test_the_manifest_tells_sources_counts_drops_and_digests(tmp_path, data_dir):
    manifest = mixture.prepare(settings(sources=("gsm8k",)), tmp_path / "data", data_dir)
    assert manifest == json.loads((tmp_path / "data" / "manifest.json").read_text())
    assert manifest["sources"]["gsm8k"]["examples"] == manifest["examples"] == 3
    assert manifest["sources"]["gsm8k"]["drops"] == {"no annotation": 1}
    assert manifest["data"]["row_length"] == 64
    assert any(file.startswith("gsm8k/1.0.0/gsm8k-train.array_record") for file in manifest["sha256"])
    assert not (tmp_path / "data" / "partial").exists()


def test_a_data_set_is_the_same_whenever_it_is_written(tmp_path):
    first = mixture.prepare(settings(), tmp_path / "a", None)
    again = mixture.prepare(settings(), tmp_path / "b", None)
    other = mixture.prepare(settings(seed=1), tmp_path / "c", None)
    records = [next(v for k, v in m["sha256"].items() if "array_record" in k) for m in (first, again, other)]
    assert records[0] == records[1] != records[2]


def test_a_finished_one_is_used_again_also_for_rows_of_another_length(tmp_path):
    mixture.prepare(settings(), tmp_path, None)
    before = {f: f.stat().st_mtime_ns for f in tmp_path.rglob("*")}
    longer = settings()
    longer = dataclasses.replace(longer, data=dataclasses.replace(longer.data, row_length=128))
    mixture.prepare(longer, tmp_path, None)
    assert {f: f.stat().st_mtime_ns for f in tmp_path.rglob("*")} == before


def test_a_finished_one_of_other_settings_is_refused_in_one_line(tmp_path):
    mixture.prepare(settings(), tmp_path, None)
    with pytest.raises(UserError, match=r"was prepared with data.embedded_problems = 20, now it is 21") as e:
        mixture.prepare(settings(problems=21), tmp_path, None)
    assert "\n" not in str(e.value)


def test_a_file_that_changed_after_it_was_written_is_found(tmp_path):
    mixture.prepare(settings(), tmp_path, None)
    (record,) = tmp_path.rglob("*array_record*")
    record.write_bytes(record.read_bytes()[:-1])
    with pytest.raises(UserError, match="is not what was written"):
        mixture.prepare(settings(), tmp_path, None)


def test_a_killed_preparation_leaves_no_manifest_and_the_next_one_is_as_if_it_had_not_been(tmp_path):
    code = (
        "import pickle, sys; from pathlib import Path; from dsmath.data import mixture\n"
        "mixture.prepare(pickle.load(sys.stdin.buffer), Path(sys.argv[1]), None)"
    )
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE)
    process.stdin.write(pickle.dumps(settings(problems=20_000)))
    process.stdin.close()
    while not list(out.glob("partial/embedded/*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(UserError, match="dsmath prepare"):
        mixture.examples(out)
    manifest = mixture.prepare(settings(), out, None)
    whole = mixture.prepare(settings(), tmp_path / "whole", None)
    assert manifest["sha256"].keys() == whole["sha256"].keys()
    assert {p.name for p in out.iterdir()} == {"embedded", "manifest.json"}
    assert len(mixture.examples(out)) == whole["examples"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": ("gsm9k",)}, r"config.data.sources is \('gsm9k',\); expected one or more of embedded, gsm8k"),
        ({"sources": ()}, r"config.data.sources is \(\)"),
        ({"modes": ("pot",)}, r"config.data.modes is \('pot',\)"),
        ({"modes": ("cot", "cot")}, "each once"),
        ({"problems": 0}, "config.data.embedded_problems is 0; expected at least 1"),
        ({"sources": ("gsm8k",)}, "gsm8k is read from published files; give their folder with --data_dir"),
    ],
)
def test_what_cannot_be_prepared_is_told_in_one_line(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        mixture.prepare(settings(**changes), tmp_path, None)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/data"):
        mixture.prepare(settings(), tmp_path / "file" / "data", None)


def test_a_folder_without_a_training_set_names_the_verb_to_run(tmp_path):
    with pytest.raises(UserError, match=r"no training set in .*: manifest.json is missing; run `dsmath prepare` first"):
        mixture.examples(tmp_path)


def test_examples_can_be_read_in_other_processes_and_not_past_their_end(tmp_path):
    mixture.prepare(settings(), tmp_path, None)
    examples = mixture.examples(tmp_path)
    assert pickle.loads(pickle.dumps(examples))[7] == examples[7]
    with pytest.raises(IndexError):
        examples[len(examples)]


def test_nothing_is_printed(tmp_path, capfd):
    mixture.prepare(settings(), tmp_path, None)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""
