"""Journals survive kills, torn lines and full disks."""

import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsmath import journal
from dsmath.error import UserError
from dsmath.journal import Journal

RECORDS = [{"id": "a", "text": "你好\n\\boxed{1}"}, {"id": "b", "text": "\ud800 lone surrogate"}]


def write(path: Path, records) -> None:
    with journal.Journal(path) as out:
        for record in records:
            out.append(record)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new" / "folder" / "j.jsonl"
    write(path, RECORDS[:1])
    write(path, RECORDS[:1])
    assert list(journal.read(path)) == RECORDS[:1] * 2


def test_a_lone_surrogate_is_written_as_an_escape(tmp_path):
    path = tmp_path / "j.jsonl"
    write(path, RECORDS)
    assert [record["id"] for record in journal.read(path)] == ["a", "b"]


@pytest.mark.parametrize("torn", [b'{"id": "c', b"{" + b"x" * 200_000])
def test_the_next_writer_cuts_a_torn_line(tmp_path, torn):
    path = tmp_path / "j.jsonl"
    write(path, RECORDS[:1])
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    write(path, [])
    assert path.read_bytes() == whole


def test_a_torn_line_alone_leaves_an_empty_journal(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"id"')
    write(path, RECORDS[:1])
    assert list(journal.read(path)) == RECORDS[:1]


@pytest.mark.parametrize(
    "bad", ["{torn", "[1, 2]", "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), "NaN x"]
)
def test_a_bad_line_is_skipped_and_named(tmp_path, caplog, bad):
    path = tmp_path / "j.jsonl"
    path.write_text('{"id": 1}\n' + bad + '\n\n{"id": 2}\n', encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert [record["id"] for record in journal.read(path)] == [1, 2]
    assert f"{path}:2: skipped" in caplog.text
    assert "skipped 1 bad line" in caplog.text


def test_a_killed_writer_loses_nothing_that_append_returned_from(tmp_path):
    path = tmp_path / "j.jsonl"
    code = f"""
from dsmath.journal import Journal
from pathlib import Path
out = Journal(Path({str(path)!r}))
for i in range(10**6):
    out.append({{"i": i}})
    print(i, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) == 50:
            break
    time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    said = [50, *(int(line) for line in process.stdout if line.endswith("\n"))]
    process.wait()
    found = [record["i"] for record in journal.read(path)]
    assert found == list(range(len(found)))
    assert len(found) > said[-1]


def test_a_full_disk_is_one_line():
    with (
        pytest.raises(UserError, match=r"cannot write /dev/full: No space left on device"),
        journal.Journal(Path("/dev/full")) as out,
    ):
        out.append({"id": 1})


def test_an_unwritable_folder_and_a_missing_file_are_one_line():
    with pytest.raises(UserError, match=r"cannot write /proc/nothing/j.jsonl"):
        journal.Journal(Path("/proc/nothing/j.jsonl"))
    with pytest.raises(UserError, match=r"cannot read /nowhere/j.jsonl: No such file"):
        list(journal.read(Path("/nowhere/j.jsonl")))


def test_a_journal_has_one_writer_at_a_time(tmp_path):
    path = tmp_path / "j.jsonl"
    with Journal(path):
        other = [sys.executable, "-c", f"from dsmath.journal import Journal; Journal({str(path)!r})"]
        done = subprocess.run(other, capture_output=True, text=True, check=False)
        assert f"{path} is in use by another process; wait for it" in done.stderr
    Journal(path).close()


def test_records_that_grow_to_a_whole_file_go_on_under_the_same_settings_alone(tmp_path):
    path = tmp_path / "out.jsonl"

    def make(settings, numbers, fail=False):
        with journal.continued(path, settings) as (out, done):
            seen = list(done)
            for number in numbers:
                out.append({"n": number})
            if fail:
                raise KeyboardInterrupt
        return seen

    with pytest.raises(KeyboardInterrupt):
        make({"a": 1}, [1, 2], fail=True)
    assert not path.exists()
    assert make({"a": 1}, [3]) == [{"n": 1}, {"n": 2}]
    assert [record["n"] for record in journal.read(path)] == [1, 2, 3]
    with pytest.raises(KeyboardInterrupt):
        make({"a": 1}, [7], fail=True)
    assert make({"a": 2}, [8]) == []
    assert [record["n"] for record in journal.read(path)] == [8]
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]
