"""Bad files and a full disk: a skip that is counted, or one line that names file and record, and never half a set."""

import dataclasses
import datetime
import gzip
import json
import os
import subprocess
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsmath.data import prepared
from dsmath.data.preparation import prepare
from dsmath.data.sources import gsm8k, known, layouts
from dsmath.data.stages import raw
from dsmath.error import UserError
from tests.data import samples
from tests.data.published import ROW, settings, write
from tests.train.faults import small_disk

LILA, MATH, NUMINA = "lila/lila.zip", "math/MATH.tar", "numina_tir/data/train-00000-of-00001.parquet"
MATHINSTRUCT, GSM8K = "mathinstruct/MathInstruct.json", "gsm8k/train.jsonl"


def one_line(e: pytest.ExceptionInfo[UserError]) -> str:
    assert "\n" not in str(e.value)
    return str(e.value)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zip_leading_out(path):
    samples.lila_zip(path, **{"../../evil.json": b"{}"})


def zip_leading_up(path):
    samples.lila_zip(path, **{"/etc/evil.json": b"{}"})


def zip_with_a_bad_sum(path):
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("lila/multi/ood/train.json")
    content = bytearray(path.read_bytes())
    content[member.header_offset + 30 + len(member.filename) + member.compress_size // 2] ^= 0xFF
    path.write_bytes(content)


def zip_without_the_part(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lila/multi/iid/train.json", samples.as_lines(samples.LILA))


def tar_without_the_part(path):
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("MATH/test/algebra/1.json"))


def text(content: bytes):
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "harm", "words"),
    [
        (LILA, cut, "File is not a zip file"),
        (LILA, zip_leading_out, "its member '../../evil.json' leads out of the archive"),
        (LILA, zip_leading_up, "its member '/etc/evil.json' leads out of the archive"),
        (LILA, zip_with_a_bad_sum, "(Bad CRC-32 for file|Error -3 while decompressing|invalid)"),
        (LILA, zip_without_the_part, "it has no member multi/ood/train.json"),
        (MATH, cut, "unexpected end of data"),
        (MATH, text(b"a tar once"), "(truncated|invalid) header"),
        (MATH, tar_without_the_part, r"it has no member MATH/train/\*/\*.json"),
        (NUMINA, cut, "magic bytes"),
        (NUMINA, text(b"PAR1 once, PAR1"), ""),
        (MATHINSTRUCT, cut, "(Expecting|Unterminated)"),
        (MATHINSTRUCT, text(b'{"source": 1}'), "expected a JSON list, got dict"),
        (MATHINSTRUCT, text(b"[" * 200_000), "recursion"),
        (MATHINSTRUCT, text("[{\"source\": \"ü\"}]".encode("latin-1")), "codec can't decode"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_named_and_no_set_is_written(tmp_path, file, harm, words):
    path = samples.write(tmp_path / "published") / file
    whole = path.read_bytes()
    name = path.relative_to(tmp_path / "published").parts[0]
    wanted = settings(sources=("gsm8k", name), modes=("cot", "tool", "pot"))
    harm(path)
    with pytest.raises(UserError, match=rf"cannot read {path}.*{words}.*; fetch it again, or choose another") as e:
        prepare(wanted, tmp_path / "set", tmp_path / "published")
    one_line(e)
    nothing_passes_for_whole(tmp_path / "set", wanted)
    path.write_bytes(whole)
    assert prepare(wanted, tmp_path / "set", tmp_path / "published")["sources"][name]["rows"]["read"]


def nothing_passes_for_whole(out, wanted):
    assert not (out / "manifest.json").exists()
    with pytest.raises(UserError, match=r"manifest.json is missing; run `dsmath prepare` first"):
        prepared.examples(out, wanted)


def test_a_gzip_that_is_cut_short_is_an_error_that_names_the_record(tmp_path, monkeypatch):
    """Not the end of the file: what follows would be lost. The rows before it make no set."""
    monkeypatch.setattr(raw, "ROWS", 10)
    monkeypatch.setitem(known.SOURCES, "gsm8k", dataclasses.replace(gsm8k.SOURCE, files=(("train.jsonl.gz",),)))
    rows = [ROW | {"question": f"How much is {os.urandom(300).hex()} x 1?"} for _ in range(100)]
    path = samples.file(tmp_path / "published/gsm8k/train.jsonl.gz", gzip.compress(samples.as_lines(rows)))
    whole, wanted = path.read_bytes(), settings(sources=("gsm8k",))
    cut(path)
    with pytest.raises(UserError, match=rf"cannot read {path} after record [1-9]\d: .*end-of-stream") as e:
        prepare(wanted, tmp_path / "set", tmp_path / "published")
    one_line(e)
    assert list((tmp_path / "set").rglob("gsm8k-00000.jsonl"))
    nothing_passes_for_whole(tmp_path / "set", wanted)
    path.write_bytes(whole)
    manifest = prepare(wanted, tmp_path / "set", tmp_path / "published")
    assert manifest["sources"]["gsm8k"]["rows"] == {"read": 100, "skipped": {}}


def as_json(row: object) -> bytes:
    return json.dumps(row).encode()


BAD_LINES = {
    b'{"question": "caf\xe9", "answer": "1"}': "not UTF-8",
    b'{"question": "cut': "not JSON",
    b"[" * 100_000: "not JSON",
    b'{"question": %s}' % (b"9" * 5_000): "not JSON",
    b'["question", "answer"]': "not a JSON object",
    as_json({"question": "How much?"}): "the field 'answer' is missing",
    as_json(ROW | {"question": 12}): "the field 'question' is no str",
    as_json(ROW | {"answer": None}): "the field 'answer' is no str",
    as_json(ROW | {"question": "How\0 much?"}): "the field 'question' has NUL characters",
    as_json(ROW | {"question": "How \ud800 much?"}): "the field 'question' has half a character, or is no JSON",
    as_json(ROW | {"question": "How much? " * 1_000_000}): "more than 100000 characters",
}


def test_records_that_are_no_rows_are_counted_by_reason_and_the_others_stay(tmp_path):
    lines = [as_json(ROW), *BAD_LINES, b"", as_json(ROW | {"question": "How much is 408?", "unknown": {"a": [1]}})]
    path = samples.file(tmp_path / "published" / GSM8K, b"\n".join(lines))
    assert path.stat().st_size > 10_000_000
    wanted = settings(sources=("gsm8k",), modes=("cot",))
    manifest = prepare(wanted, tmp_path / "set", tmp_path / "published")
    rows = manifest["sources"]["gsm8k"]["rows"]
    assert rows["read"] == len(BAD_LINES) + 2
    assert rows["skipped"] == {reason: [*BAD_LINES.values()].count(reason) for reason in BAD_LINES.values()}
    examples = prepared.examples(tmp_path / "set", wanted)
    found = [examples[i] for i in range(len(examples))]
    assert [example.row for example in found] == ["train.jsonl:1", f"train.jsonl:{len(lines)}"]
    report = (tmp_path / "set" / "report.md").read_text()
    for number, reason in enumerate(BAD_LINES.values(), 2):
        assert reason in report
        assert f"`train.jsonl:{number}`" in report or [*BAD_LINES.values()].count(reason) > 3


def test_a_file_in_another_encoding_gives_no_rows_and_says_so(tmp_path):
    path = samples.file(tmp_path / "published/ape210k/train.ape.json", b"")
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in samples.APE210K), encoding="gbk")
    manifest = prepare(settings(sources=("ape210k",)), tmp_path / "set", tmp_path / "published")
    assert manifest["examples"] == 0
    assert manifest["sources"]["ape210k"]["rows"] == {"read": 2, "skipped": {"not UTF-8": 2}}


def test_columns_of_a_table_that_nobody_asked_for_may_hold_anything(tmp_path):
    path = samples.numina_parquet(tmp_path / "published" / NUMINA)
    when, rows = datetime.datetime(2024, 7, 16), pq.read_table(path).to_pylist()
    rows = [
        row | {"when": when, "bytes": b"\xff", "problem": row["problem"] if i else None} for i, row in enumerate(rows)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    source = prepare(settings(sources=("numina_tir",)), tmp_path / "set", tmp_path / "published")["sources"][
        "numina_tir"
    ]
    assert source["rows"] == {"read": len(rows), "skipped": {"the field 'problem' is no str": 1}}
    assert source["modes"]["tool"]["kept"] == 1


def test_a_folder_in_the_place_of_a_file_is_missing(tmp_path):
    (tmp_path / "published" / GSM8K).mkdir(parents=True)
    with pytest.raises(UserError, match=r"no file .*gsm8k/train.jsonl") as e:
        prepare(settings(sources=("gsm8k",)), tmp_path / "set", tmp_path / "published")
    one_line(e)


@pytest.mark.parametrize("content", [b"[%s, 3, %s]", b"%s\n3\n\n%s", b" \n%s\n3\n%s\n"])
def test_records_are_lines_or_a_list(content):
    first, last = {"a": 1}, {"b": "[2]"}
    found = [row for _, row in layouts.records("file", content % (as_json(first), as_json(last)))]
    assert found == [first, layouts.Bad("not a JSON object"), last]


STEP = 12 << 10  # bytes that are freed at a time, and later a quarter of what is free


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(tmp_path, monkeypatch):
    """Space comes back little by little: every stage meets the end of it, and none leaves half a file."""
    monkeypatch.setattr(raw, "ROWS", 40)
    rows = [ROW | {"answer": ROW["answer"].replace("in all", f"in all of {i} boxes")} for i in range(120)]
    write(tmp_path / "published", "gsm8k", rows)
    wanted = settings(sources=("gsm8k",), modes=("cot",), near_duplicates=0.8)
    whole = prepare(wanted, tmp_path / "whole", tmp_path / "published")
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        with small_disk(disk):
            pass
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"no full disk: one of its own can't be mounted here (uid {os.getuid()})")
    with small_disk(disk):
        met, manifest = go_on(disk, wanted, tmp_path / "published")
        assert manifest == whole
        assert len(prepared.examples(disk / "set", wanted)) == 120
    assert {"raw", "verified", "signatures", "candidates", "examples"} <= met


def go_on(disk, wanted, data_dir):
    """The stages whose files met a full disk, and the manifest in the end."""
    filler, met = disk / "filler", set()
    fill(filler)
    full = filler.stat().st_size
    while True:
        try:
            return met, prepare(wanted, disk / "set", data_dir)
        except UserError as e:
            words = str(e)
        assert "\n" not in words
        assert words.startswith(f"cannot write {disk}/set/"), words
        assert "No space left on device" in words
        nothing_passes_for_whole(disk / "set", wanted)
        assert not list((disk / "set").rglob("*.tmp"))
        met.add(words.removeprefix(f"cannot write {disk}/set/").removeprefix("stages/").partition("-")[0])
        freed = full - filler.stat().st_size
        os.truncate(filler, filler.stat().st_size - max(STEP, freed // 4))


def fill(path):
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 12)):
                pass
        except OSError:
            return
