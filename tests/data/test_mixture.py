"""Preparing a training set, and reading it back."""

import dataclasses
import importlib
import json
import pickle
import pkgutil
import signal
import subprocess
import sys
import time

import pytest

import dsmath.data
from dsmath import config
from dsmath.data import embedded, gsm8k, mixture
from dsmath.error import UserError
from dsmath.records import Example, Piece, Source
from dsmath.suites.embedded import generate
from dsmath.text.template import with_program

ROW = {"question": "How much is 12 x 34?", "answer": "12*34=<<12*34=408>>408 in all.\n#### 408"}


PROGRAM = "# in all\nall = 12 * 34\nprint(all)"


def settings(sources=("embedded",), modes=("cot", "tool"), problems=20, seed=0) -> config.Config:
    return config.Config(
        seed=seed,
        model=config.Arch(64, 8, 16, 1, 1, 1, 8, 1e4, 1e-6, True, 64),
        start=config.Start("random", "train", "reference"),
        mesh=config.Mesh(-1, 1, 1),
        data=config.Data(sources, modes, problems, row_length=64, packing_bins=2),
        train=config.Train(1, 1, 1, 1e-3, 0, 0.9, 0.95, 0.0, 1.0, False, False, 1, 1),
        eval=config.Eval(("embedded",), modes, "reference", 1, 1, 1, 64, 1, 8, 2, 0.0, 1.0, None, "reference"),
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
    given = [embedded.to_example(p, mode) for p in problems for mode in ("cot", "tool")]
    (row, _) = gsm8k.read(data_dir / "gsm8k" / "train.jsonl")
    program = with_program(gsm8k.PLAN, PROGRAM, "408", gsm8k.CONCLUSION.format("408"))
    given.append(Example("gsm8k-train-0-tool", "gsm8k", "en", "tool", row.question, program, "408"))
    for number, text in enumerate(("12*34=408 in all.", "It is plain.")):
        cot = (Piece(Source.MODEL, f"{text}\nThe answer is \\boxed{{408}}."),)
        given.append(Example(f"gsm8k-train-{number}-cot", "gsm8k", "en", "cot", row.question, cot, "408"))
    examples = mixture.examples(tmp_path / "data", wanted)
    found = {e.id: e for e in (examples[i] for i in range(len(examples)))}
    assert found == {e.id: e for e in given}
    assert len(examples) == len(given)


def test_the_manifest_tells_sources_counts_drops_and_digests(tmp_path, data_dir):
    manifest = mixture.prepare(settings(sources=("gsm8k",)), tmp_path / "data", data_dir)
    assert manifest == json.loads((tmp_path / "data" / "manifest.json").read_text())
    assert manifest["sources"]["gsm8k"]["examples"] == manifest["examples"] == 3
    assert manifest["sources"]["gsm8k"]["drops"] == {"no annotation": 1}
    assert manifest["data"]["row_length"] == 64
    assert any(file.startswith("gsm8k/1.0.0/dsmath_source-train.array_record") for file in manifest["sha256"])
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
    with pytest.raises(UserError, match=r"begun with data.embedded_problems = 20, now it is 21") as e:
        mixture.prepare(settings(problems=21), tmp_path, None)
    assert "\n" not in str(e.value)


def test_a_file_that_changed_after_it_was_written_is_found(tmp_path):
    mixture.prepare(settings(), tmp_path, None)
    (record,) = tmp_path.rglob("*array_record*")
    record.write_bytes(record.read_bytes()[:-1])
    with pytest.raises(UserError, match="is not what was written"):
        mixture.prepare(settings(), tmp_path, None)


def test_a_shard_that_was_deleted_is_found_by_preparing_and_by_reading(tmp_path):
    mixture.prepare(settings(), tmp_path, None)
    (record,) = tmp_path.rglob("*array_record*")
    record.unlink()
    for use in (lambda: mixture.prepare(settings(), tmp_path, None), lambda: mixture.examples(tmp_path, settings())):
        with pytest.raises(UserError, match=r"array_record.* is missing; delete .*dsmath prepare"):
            use()


def test_another_input_file_is_found(tmp_path, data_dir):
    wanted = settings(sources=("gsm8k",))
    mixture.prepare(wanted, tmp_path / "data", data_dir)
    mixture.prepare(wanted, tmp_path / "data", None)
    with (data_dir / "gsm8k" / "train.jsonl").open("a") as file:
        file.write(json.dumps(ROW) + "\n")
    with pytest.raises(UserError, match=r"gsm8k/train.jsonl is not the file that .* was made of; delete .* again") as e:
        mixture.prepare(wanted, tmp_path / "data", data_dir)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"modes": ("cot",)}, "data.modes"),
        ({"problems": 21}, "data.embedded_problems"),
        ({"seed": 1}, "seed"),
    ],
)
def test_a_set_that_was_prepared_for_another_config_is_not_trained_on(tmp_path, changes, field):
    mixture.prepare(settings(), tmp_path, None)
    with pytest.raises(UserError, match=rf"was begun with {field} = .*, now it is"):
        mixture.examples(tmp_path, settings(**changes))


def test_a_killed_verification_goes_on_behind_the_last_program(tmp_path, data_dir):
    """SIGKILL while programs run; the next preparation runs the others, and its set is that of an uninterrupted one."""
    row = ROW["answer"]
    rows = [ROW | {"answer": row.replace("in all", f"in all of {i} boxes")} for i in range(400)]
    (data_dir / "gsm8k" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code = (
        "import pickle, sys; from pathlib import Path; from dsmath.data import mixture\n"
        "mixture.prepare(pickle.load(sys.stdin.buffer), Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    wanted, out = settings(sources=("gsm8k",), modes=("tool",)), tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, str(out), str(data_dir)], stdin=subprocess.PIPE)
    process.stdin.write(pickle.dumps(wanted))
    process.stdin.close()
    while not any(path.read_bytes().count(b"\n") > 20 for path in out.glob("stages/*.partial")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (partial,) = out.glob("stages/*.partial")
    before = partial.read_bytes()
    before = before[: before.rindex(b"\n") + 1]
    assert before.count(b"\n") < 400, "killed too late to show anything"
    manifest = mixture.prepare(wanted, out, data_dir)
    (stage,) = out.glob("stages/*.jsonl")
    head, _, records = before.partition(b"\n")
    assert b"limits" in head
    assert stage.read_bytes().startswith(records)
    assert stage.read_bytes().count(b"\n") == manifest["examples"] == 400
    whole = mixture.prepare(wanted, tmp_path / "whole", data_dir)
    assert {name: d for name, d in manifest["sha256"].items() if "array_record" in name} == {
        name: d for name, d in whole["sha256"].items() if "array_record" in name
    }


def test_a_source_s_file_and_a_line_in_the_table_are_all_that_it_takes():
    modules = [importlib.import_module(f"dsmath.data.{m.name}") for m in pkgutil.iter_modules(dsmath.data.__path__)]
    assert {m.SOURCE.name: m.SOURCE for m in modules if hasattr(m, "SOURCE")} == mixture.SOURCES


def test_a_killed_preparation_leaves_no_manifest_and_the_next_one_is_as_if_it_had_not_been(tmp_path):
    code = (
        "import pickle, sys; from pathlib import Path; from dsmath.data import mixture\n"
        "mixture.prepare(pickle.load(sys.stdin.buffer), Path(sys.argv[1]), None)"
    )
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE)
    process.stdin.write(pickle.dumps(settings(problems=20_000)))
    process.stdin.close()
    while not list(out.glob("partial/dsmath_source/embedded/*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(UserError, match="dsmath prepare"):
        mixture.examples(out, settings())
    manifest = mixture.prepare(settings(), out, None)
    whole = mixture.prepare(settings(), tmp_path / "whole", None)
    assert manifest["sha256"].keys() == whole["sha256"].keys()
    assert {p.name for p in out.iterdir()} == {"embedded", "manifest.json", "lock"}
    assert len(mixture.examples(out, settings())) == whole["examples"]


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
        mixture.examples(tmp_path, settings())


def test_examples_can_be_read_in_other_processes_and_not_past_their_end(tmp_path):
    mixture.prepare(settings(), tmp_path, None)
    examples = mixture.examples(tmp_path, settings())
    assert pickle.loads(pickle.dumps(examples))[7] == examples[7]
    with pytest.raises(IndexError):
        examples[len(examples)]


def test_nothing_is_printed(tmp_path, capfd):
    mixture.prepare(settings(), tmp_path, None)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""
