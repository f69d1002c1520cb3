"""Preparing a training set, and reading it back."""

import importlib
import json
import pickle
import pkgutil
import signal
import subprocess
import sys
import time

import pytest

from dsmath.data import prepared, sources
from dsmath.data.beam.pipelines import Runner
from dsmath.data.preparation import prepare
from dsmath.data.sources import gsm8k, known
from dsmath.data.stages import raw
from dsmath.error import UserError
from dsmath.records import Example, Piece, Source
from dsmath.suites.embedded import generate
from dsmath.text.template import with_program
from tests.data.published import PLAIN, ROW, settings, write

PROGRAM = "# in all\nall = 12 * 34\nprint(all)"


@pytest.fixture
def data_dir(tmp_path):
    write(tmp_path / "published", "gsm8k", [ROW, PLAIN])
    return tmp_path / "published"


def read(folder, wanted) -> dict[str, Example]:
    examples = prepared.examples(folder, wanted)
    found = {example.id: example for example in (examples[i] for i in range(len(examples)))}
    assert len(found) == len(examples)
    return found


def of_embedded(problem, mode) -> Example:
    cot = (Piece(Source.MODEL, problem.cot),)
    tool = with_program(problem.plan, problem.program, problem.answer, problem.conclusion)
    solution = cot if mode == "cot" else tool
    texts = (problem.question, solution, problem.answer)
    row = problem.id.removeprefix("embedded-")
    return Example(f"{problem.id}-{mode}", "embedded", problem.lang, mode, *texts, row, "Apache-2.0", problem.topic)


def test_what_is_read_back_is_what_the_sources_gave(tmp_path, data_dir):
    wanted = settings(sources=("embedded", "gsm8k"))
    prepare(wanted, tmp_path / "data", data_dir)
    problems = [p for lang in ("en", "zh") for p in generate.generate("train", lang, 20, 0)]
    given = [of_embedded(problem, mode) for problem in problems for mode in ("cot", "tool")]
    question, row = ROW["question"], "train.jsonl:1"
    program = with_program(gsm8k.PLAN, PROGRAM, "408", gsm8k.CONCLUSION.format("408"))
    given.append(Example(f"gsm8k-{row}-tool", "gsm8k", "en", "tool", question, program, "408", row, "MIT"))
    for number, text in enumerate(("12*34=408 in all.", "It is plain."), 1):
        cot, row = (Piece(Source.MODEL, f"{text}\nThe answer is \\boxed{{408}}."),), f"train.jsonl:{number}"
        given.append(Example(f"gsm8k-{row}-cot", "gsm8k", "en", "cot", question, cot, "408", row, "MIT"))
    assert read(tmp_path / "data", wanted) == {example.id: example for example in given}


def test_the_manifest_tells_what_was_read_kept_and_dropped_and_digests(tmp_path, data_dir):
    manifest = prepare(settings(sources=("gsm8k",)), tmp_path / "data", data_dir)
    assert manifest == json.loads((tmp_path / "data" / "manifest.json").read_text())
    source = manifest["sources"]["gsm8k"]
    assert source["rows"] == {"read": 2, "skipped": {}}
    cot = {"read": 2, "verified": 2, "kept": 2, "no_gold": 0, "dropped": {}, "tokens": None}
    assert source["modes"]["cot"] == cot
    assert source["modes"]["tool"] == cot | {"verified": 1, "kept": 1, "dropped": {"no annotation": 1}}
    assert manifest["examples"] == 3
    assert source["license"] == "MIT"
    assert list(source["inputs"]) == ["train.jsonl"]
    assert list(manifest["sha256"]) == source["files"]
    (dropped,) = (json.loads(path.read_text()) for path in (tmp_path / "data").glob("dropped-*/gsm8k-*.jsonl"))
    assert (dropped["row"], dropped["mode"], dropped["dropped"]) == ("train.jsonl:2", "tool", "no annotation")
    assert dropped["question"] == ROW["question"]
    assert not (tmp_path / "data" / "stages").exists()


def test_tokens_are_counted_by_what_is_given(tmp_path, data_dir):
    wanted = settings(sources=("gsm8k",), modes=("cot",))
    manifest = prepare(wanted, tmp_path, data_dir, open_count=lambda: lambda example: 1000 + len(example.question))
    assert manifest["sources"]["gsm8k"]["modes"]["cot"]["tokens"] == 2 * (1000 + len(ROW["question"]))


def test_the_same_bytes_come_out_of_any_number_of_workers_and_of_another_runner(tmp_path, data_dir, monkeypatch):
    monkeypatch.setattr(raw, "ROWS", 7)
    wanted = settings(sources=("embedded", "gsm8k"), near_duplicates=0.8)
    one = prepare(wanted, tmp_path / "one", data_dir)
    two = prepare(wanted, tmp_path / "two", data_dir, runner=Runner(workers=2))
    other_runner = Runner("apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner")
    assert prepare(wanted, tmp_path / "other", data_dir, runner=other_runner) == one
    assert len(one["sha256"]) == 7
    assert one == two
    for file in ("report.md", *one["sha256"]):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    other = prepare(settings(sources=("embedded", "gsm8k"), near_duplicates=0.8, seed=1), tmp_path / "three", data_dir)
    assert other["hash"] != one["hash"]


def test_a_finished_one_is_used_again_also_for_rows_of_another_length(tmp_path):
    prepare(settings(), tmp_path, None)
    before = {f: f.stat().st_mtime_ns for f in tmp_path.rglob("*")}
    prepare(settings(row_length=128), tmp_path, None)
    assert {f: f.stat().st_mtime_ns for f in tmp_path.rglob("*")} == before


def test_a_finished_one_of_other_settings_is_refused_in_one_line(tmp_path):
    prepare(settings(), tmp_path, None)
    with pytest.raises(UserError, match=r"begun with data.embedded_problems = 20, now it is 21") as e:
        prepare(settings(problems=21), tmp_path, None)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("missing", [False, True])
def test_a_file_that_changed_or_went_after_it_was_written_is_found(tmp_path, missing):
    prepare(settings(), tmp_path, None)
    (record,) = tmp_path.rglob("*array_record")
    if missing:
        record.unlink()
        with pytest.raises(UserError, match=r"array_record is missing; delete .*dsmath prepare"):
            prepared.examples(tmp_path, settings())
    else:
        record.write_bytes(record.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"is missing; delete" if missing else "is not what was written"):
        prepare(settings(), tmp_path, None)


def test_another_input_file_is_found(tmp_path, data_dir):
    wanted = settings(sources=("gsm8k",))
    prepare(wanted, tmp_path / "data", data_dir)
    prepare(wanted, tmp_path / "data", None)
    with (data_dir / "gsm8k" / "train.jsonl").open("a") as file:
        file.write(json.dumps(ROW) + "\n")
    with pytest.raises(UserError, match=r"gsm8k/train.jsonl is not the file that .* was made of; delete .* again") as e:
        prepare(wanted, tmp_path / "data", data_dir)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"modes": ("cot",)}, "data.modes.embedded"),
        ({"problems": 21}, "data.embedded_problems"),
        ({"seed": 1}, "seed"),
    ],
)
def test_a_set_that_was_prepared_for_another_config_is_not_trained_on(tmp_path, changes, field):
    prepare(settings(), tmp_path, None)
    with pytest.raises(UserError, match=rf"was begun with {field} = .*, now it is"):
        prepared.examples(tmp_path, settings(**changes))


CODE = """
import pickle, sys
from pathlib import Path
from dsmath.data import preparation
from dsmath.data.stages import raw
raw.ROWS = 40
preparation.prepare(pickle.load(sys.stdin.buffer), Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_preparation_goes_on_with_the_shards_that_it_lacks(tmp_path, data_dir, monkeypatch):
    """SIGKILL while programs run; what was there stays, and the set in the end is that of an uninterrupted one."""
    monkeypatch.setattr(raw, "ROWS", 40)
    rows = [ROW | {"answer": ROW["answer"].replace("in all", f"in all of {i} boxes")} for i in range(400)]
    write(data_dir, "gsm8k", rows)
    wanted, out = settings(sources=("gsm8k",), modes=("tool",)), tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", CODE, str(out), str(data_dir)], stdin=subprocess.PIPE)
    process.stdin.write(pickle.dumps(wanted))
    process.stdin.close()
    while len(list(out.glob("stages/verified-*/*.jsonl"))) < 3:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in out.glob("stages/verified-*/*.jsonl")}
    assert 3 <= len(done) < 10, "killed too late to show anything"
    with pytest.raises(UserError, match="dsmath prepare"):
        prepared.examples(out, wanted)
    seen = {}
    monkeypatch.setattr(
        "dsmath.storage.remove_folder", lambda folder: seen.update({path: path.stat().st_mtime_ns for path in done})
    )
    manifest = prepare(wanted, out, data_dir)
    assert seen == done
    assert manifest["examples"] == 400
    assert manifest == prepare(wanted, tmp_path / "whole", data_dir)


def test_a_source_s_file_and_a_line_in_the_table_are_all_that_it_takes():
    modules = [importlib.import_module(f"{sources.__name__}.{m.name}") for m in pkgutil.iter_modules(sources.__path__)]
    assert {m.SOURCE.name: m.SOURCE for m in modules if hasattr(m, "SOURCE")} == known.SOURCES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": ("gsm9k",)}, r"config.data.sources is \('gsm9k',\); expected one or more of embedded, gsm8k"),
        ({"sources": ()}, r"config.data.sources is \(\)"),
        ({"modes": ("pot",)}, r"config.data.modes is \('pot',\), of which embedded gives none"),
        ({"modes": ("cot", "cot")}, "each once"),
        ({"problems": 0}, "config.data.embedded_problems is 0; expected at least 1"),
        ({"decontaminate": ("gsm9k",)}, "no suite is named 'gsm9k'"),
    ],
)
def test_what_cannot_be_prepared_is_told_in_one_line(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        prepare(settings(**changes), tmp_path, None)


def test_what_is_missing_is_named_or_left_out_and_said_so(tmp_path, data_dir):
    wanted = settings(sources=("embedded", "gsm8k"), decontaminate=("svamp",))
    (data_dir / "gsm8k" / "train.jsonl").unlink()
    with pytest.raises(UserError, match=r"no file .*gsm8k/train.jsonl; expected .*; --allow_missing does without") as e:
        prepare(wanted, tmp_path / "data", data_dir)
    assert "\n" not in str(e.value)
    manifest = prepare(wanted, tmp_path / "data", data_dir, allow_missing=True)
    assert set(manifest["missing"]) == {"gsm8k", "benchmark svamp"}
    assert manifest["decontaminated"]["suites"] == {}
    assert set(manifest["sources"]) == {"embedded"}
    assert len(prepared.examples(tmp_path / "data", wanted)) == manifest["examples"] == 80
    with pytest.raises(UserError, match="all sources are missing"):
        prepare(settings(sources=("gsm8k",)), tmp_path / "none", data_dir, allow_missing=True)


def test_a_count_draws_by_the_seed(tmp_path):
    from dsmath.config import Part

    def drawn(folder, seed):
        wanted = settings(parts={"embedded": Part(count=13)}, seed=seed)
        manifest = prepare(wanted, tmp_path / folder, None)
        modes = manifest["sources"]["embedded"]["modes"].values()
        assert sum(m["kept"] for m in modes) == manifest["examples"] == 13
        assert sum(m["dropped"]["beyond the count that is asked for"] for m in modes) == 80 - 13
        return set(read(tmp_path / folder, wanted))

    assert drawn("a", 0) == drawn("b", 0) != drawn("c", 1)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/data"):
        prepare(settings(), tmp_path / "file" / "data", None)


def test_a_folder_without_a_training_set_names_the_verb_to_run(tmp_path):
    with pytest.raises(UserError, match=r"no training set in .*: manifest.json is missing; run `dsmath prepare` first"):
        prepared.examples(tmp_path, settings())


def test_examples_can_be_read_in_other_processes_and_not_past_their_end(tmp_path):
    prepare(settings(), tmp_path, None)
    examples = prepared.examples(tmp_path, settings())
    assert pickle.loads(pickle.dumps(examples))[7] == examples[7]
    with pytest.raises(IndexError):
        examples[len(examples)]


def test_nothing_is_printed(tmp_path, capfd):
    prepare(settings(), tmp_path, None)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""


def test_training_and_evaluation_import_nothing_of_beam():
    code = "import dsmath.cli.train, dsmath.cli.evaluate, dsmath.train.loop, dsmath.data.prepared, sys\n"
    code += "print([m for m in ('apache_beam', 'datasketch', 'tensorflow_datasets') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
