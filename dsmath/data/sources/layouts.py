"""Published files as rows: JSON Lines, plain or compressed, a list of JSON, Parquet, files in a zip.

A record that can't be read becomes a `Bad` with its reason, and is counted; a file that can't be read from some record
on is an error that names both, as what follows would be lost in silence.
"""

import contextlib
import gzip
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from dsmath.data.source import Bad, Rows
from dsmath.error import UserError
from dsmath.suites.published import Row
from dsmath.suites.suite import Files


def json_lines(files: Files) -> Rows:
    """JSON Lines, with .gz behind the name if they are compressed; rows are named FILE:LINE."""
    for name, path in files.items():
        for number, line in enumerate(_lines(path), 1):
            if line.strip():
                yield f"{name}:{number}", parse(line)


def json_list(files: Files) -> Rows:
    """A list of JSON objects in each file; rows are named FILE:NUMBER, from 1."""
    for name, path in files.items():
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as e:
            raise unreadable(path, e) from e
        if not isinstance(found, list):
            raise unreadable(path, f"expected a JSON list, got {type(found).__name__}")
        yield from _numbered(name, found)


def records(name: str, content: bytes) -> Rows:
    """A file's content as rows, named FILE:NUMBER, from 1: JSON Lines, or a list of JSON objects."""
    if content.lstrip().startswith(b"["):
        with contextlib.suppress(ValueError, RecursionError):  # else its lines are looked at
            yield from _numbered(name, json.loads(content))
            return
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            yield f"{name}:{number}", parse(line)


def _numbered(name: str, found: list[Any]) -> Rows:
    for number, row in enumerate(found, 1):
        yield f"{name}:{number}", row if isinstance(row, dict) else Bad("not a JSON object")


def parquet(files: Files) -> Rows:
    """Parquet tables, in batches; rows are named FILE:NUMBER, from 1."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    for name, path in files.items():
        number = 0
        try:
            with pq.ParquetFile(path) as table:
                for batch in table.iter_batches(1024):
                    for row in batch.to_pylist():
                        number += 1
                        yield f"{name}:{number}", row
        except (OSError, ArrowException) as e:
            raise unreadable(path, e, after=number) from e


def zip_members(path: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """The files of a zip whose names match, by name. Raises UserError for a path that leads out of it."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                inside = PurePosixPath(name)
                if inside.is_absolute() or ".." in inside.parts or "\\" in name:
                    raise unreadable(path, f"its member {name!r} leads out of the archive")
                if inside.match(pattern) and not name.endswith("/"):
                    yield name, archive.read(name)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as e:
        raise unreadable(path, e) from e


def read(path: Path) -> bytes:
    """A file's content. Raises UserError if it can't be read."""
    try:
        return path.read_bytes()
    except OSError as e:
        raise unreadable(path, e) from e


def parse(text: bytes) -> Row | Bad:
    """A JSON object, or why it isn't one."""
    try:
        row: Any = json.loads(text)
    except UnicodeDecodeError:
        return Bad("not UTF-8")
    except (ValueError, RecursionError):
        return Bad("not JSON")
    return row if isinstance(row, dict) else Bad("not a JSON object")


def unreadable(path: Path, why: object, *, after: int | None = None) -> UserError:
    """The error of a file that can't be read, `after` so many records."""
    where = "" if after is None else f" after record {after}"
    return UserError(f"cannot read {path}{where}: {why}; fetch it again, or choose another --data_dir")


def _lines(path: Path) -> Iterator[bytes]:
    number = 0
    try:
        with _open(path) as file:
            for line in file:
                number += 1
                yield line
    except (OSError, EOFError, zlib.error) as e:  # a gzip that is cut short ends in EOFError
        raise unreadable(path, e, after=number) from e


def _open(path: Path) -> contextlib.AbstractContextManager[BinaryIO]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")  # type: ignore[return-value]
