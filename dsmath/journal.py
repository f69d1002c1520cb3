"""JSON Lines files that survive a crash: trajectories, scores, metrics.

A line is whole or absent: a writer that was killed leaves at most one torn line at the end, which the next writer cuts
off and a reader skips. Files that are made in one go (`write`) are whole or absent altogether.

On gs://, which takes whole files alone and knows no locks, a journal grows in a local temporary file, and is copied up
at most every SYNC_S seconds, by `sync`, and when it is closed. A crash costs what came since: those problems are made
again by the same command; steps after the last checkpoint are so anyway. That nobody else writes is up to the user.
"""

import contextlib
import errno
import fcntl
import io
import itertools
import json
import logging
import os
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from dsmath import storage
from dsmath.error import UserError

log = logging.getLogger(__name__)

SYNC_S = 10.0  # on gs://, between copies of a journal; more where a copy takes over a tenth of that


class Journal:
    """An append-only JSON Lines file with one writer at a time.

    Each `append` is on disk when it returns; where it is not `durable`, with the system, which is faster, and as safe
    from all but the system's own end. On gs:// see above.
    """

    def __init__(self, path: Path, *, durable: bool = True):
        self.path = storage.path(path)
        self._local = storage.is_local(self.path)
        self._durable = durable and self._local
        self._unsynced = False
        self._sync_at = time.monotonic() + SYNC_S
        try:
            if self._local:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = open(self.path, "ab+", buffering=0)  # noqa: SIM115  closed by close()
            else:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed by close()
                self._unsynced = not self.path.exists()
                if not self._unsynced:
                    self._file.write(self.path.read_bytes())
        except OSError as e:
            raise UserError(f"cannot write {self.path}: {e.strerror or e}; choose another --workdir") from e
        if self._local:
            _lock(self._file, self.path)
        _cut_torn_line(self._file)
        self.sync()

    def append(self, record: dict[str, Any]) -> None:
        """Write one record as one line. Raises UserError if the disk does not take it."""
        self.extend([record])

    def extend(self, records: Iterable[dict[str, Any]]) -> None:
        """Write several records, as `append` does, in one go."""
        lines = "".join(map(line, records)).encode("utf-8", "backslashreplace")
        try:
            self._file.seek(0, os.SEEK_END)
            if self._file.write(lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._durable:
                os.fsync(self._file.fileno())
        except OSError as e:
            raise UserError(f"cannot write {self.path}: {e.strerror}; free some space, the same command goes on") from e
        self._unsynced = True
        if time.monotonic() >= self._sync_at:
            self.sync()

    def sync(self) -> None:
        """Have all records where others read them. A local file's are there already."""
        if self._local or not self._unsynced:
            return
        begun = time.monotonic()
        self._file.seek(0)
        _put(self.path, self._file.read())
        self._unsynced, now = False, time.monotonic()
        self._sync_at = now + max(SYNC_S, 9 * (now - begun))

    def clear(self) -> None:
        """Drop all records."""
        self._file.truncate(0)
        self._unsynced = True

    def close(self) -> None:
        """Close the file. Idempotent."""
        if not self._file.closed:
            with self._file:
                self.sync()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a JSON Lines file. A line that is no JSON object is skipped and logged with file and line number.

    Raises UserError if the file can't be opened.
    """
    return (record for _, record in numbered(path))


def numbered(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """`read` with the number of each record's line, from 1."""
    path = storage.path(path)
    try:
        file = open(path, "rb") if storage.is_local(path) else io.BytesIO(path.read_bytes())  # noqa: SIM115  closed below
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror or e}") from e
    bad = 0
    with file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ValueError(f"expected a JSON object, got {type(record).__name__}")
            except ValueError as e:
                bad += 1
                log.warning("%s:%d: skipped, not a JSON object (%s)", path, number, e)
                continue
            yield number, record
    if bad:
        log.warning("%s: skipped %d bad line%s", path, bad, "s" * (bad > 1))


@contextlib.contextmanager
def continued(path: Path, settings: dict[str, Any]) -> Iterator[tuple[Journal, list[dict[str, Any]]]]:
    """A JSON Lines file that is made record by record and appears whole: a journal, and the records already in it.

    Until the end of the `with` they are in PATH.partial, where the same `settings` go on after a crash and others begin
    anew.
    """
    partial = path.with_name(path.name + ".partial")
    with Journal(partial, durable=False) as journal:
        found = list(read(partial))
        if found[:1] != [settings]:
            journal.clear()
            journal.append(settings)
            found = [settings]
        yield journal, found[1:]
        journal.sync()
        write(path, map(line, itertools.islice(read(partial), 1, None)))
        partial.unlink()


def line(record: dict[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def write(path: Path, lines: Iterable[str]) -> None:
    """Write a file whole or not at all; its folder is made."""
    if not storage.is_local(path):
        _put(path, "".join(lines).encode("utf-8", "backslashreplace"))
        return
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")  # hosts may share the folder
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as e:
        raise UserError(f"cannot write {path}: {e.strerror}; free some space or choose another place") from e
    finally:
        if temporary.exists():
            temporary.unlink()


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Keep other processes of this machine from entering the same `with`. Raises UserError if one is in it.

    The lock goes with the process, however that ends; the empty file stays. On gs:// nothing is locked.
    """
    if not storage.is_local(path):
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab")  # noqa: SIM115  closed below
    except OSError as e:
        raise UserError(f"cannot write {path}: {e.strerror}; choose another --workdir") from e
    with file:
        _lock(file, path)
        yield


def _put(path: Path, content: bytes) -> None:
    """Write a file on gs://, which appears once it is whole."""
    try:
        path.write_bytes(content)
    except OSError as e:
        raise UserError(f"cannot write {path}: {e.strerror or e}; choose another --workdir") from e


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        file.close()
        raise UserError(f"{path} is in use by another process; wait for it, or choose another --workdir") from e


def _cut_torn_line(file: BinaryIO) -> None:
    size = end = file.seek(0, os.SEEK_END)
    whole = 0  # length up to and including the last line end
    while end > 0 and not whole:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        whole = start + newline + 1 if newline >= 0 else 0
        end = start
    if whole < size:
        file.truncate(whole)
