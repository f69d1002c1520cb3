"""Published files, row by row, in the formats that their authors chose: JSON Lines, JSON, TSV, XML, a tar of JSON."""

import json
import logging
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from dsmath import journal
from dsmath.error import UserError

log = logging.getLogger(__name__)

Row = dict[str, Any]
Numbered = Iterator[tuple[int, Row]]  # with the row's number, from 1: of JSON Lines and TSV that of its line
T = TypeVar("T")


def rows(path: Path, convert: Callable[[int, Row], T], *, format: str = ".jsonl") -> Iterator[T]:
    """`convert(number, row)` of each row of a file; `format` is one of FORMATS.

    A row that `convert` raises KeyError, TypeError or the like for (a field is missing or of another type) is skipped,
    counted and logged with file and number. Raises UserError for a file that can't be read.
    """
    bad = 0
    for number, row in FORMATS[format](Path(path)):
        try:
            converted = convert(number, row)
        except KeyError as e:
            bad += 1
            log.warning("%s:%d: skipped, the field %s is missing", path, number, e)
        except (AttributeError, IndexError, TypeError, ValueError) as e:
            bad += 1
            log.warning("%s:%d: skipped, not a row of this data set (%s)", path, number, e)
        else:
            yield converted
    if bad:
        log.warning("%s: skipped %d row%s without the expected fields", path, bad, "s" * (bad > 1))


def text(value: Any) -> str:
    """`value`, which must be a string that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a text, got {value!r}")
    return value


def _json(path: Path) -> Numbered:
    """One list of objects: SVAMP."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as e:
        raise _unreadable(path, e) from e
    if not isinstance(found, list):
        raise _unreadable(path, f"expected a JSON list, got {type(found).__name__}")
    return enumerate(found, 1)


def _tsv(path: Path) -> Numbered:
    """Question and answer, without a header or quotes: MGSM."""
    try:
        lines = path.read_text("utf-8").rstrip("\n").split("\n")  # splitlines would split at U+2028, too
    except (OSError, ValueError) as e:
        raise _unreadable(path, e) from e
    for number, line in enumerate(lines, 1):
        question, _, answer = line.rpartition("\t")
        yield number, {"question": question, "answer": answer}


def _xml(path: Path) -> Numbered:
    """ASDiv, without the problems that have several answers, apart by semicolons: ToRA's evaluation leaves them out."""
    try:
        problems = ElementTree.parse(path).iter("Problem")
    except (OSError, ElementTree.ParseError) as e:
        raise _unreadable(path, e) from e
    found = ({field.tag.lower().replace("-", "_"): field.text or "" for field in problem} for problem in problems)
    return enumerate((row for row in found if ";" not in row.get("answer", "")), 1)


def _tar(path: Path) -> Numbered:
    """MATH: an object per file MATH/test/SUBJECT/NUMBER.json, by subject and number; `unique_id` names the file."""
    found = {}
    try:
        for name, content in tar_members(path, "MATH/test/*/*.json"):
            row = json.loads(content)
            found[name.parent.name, int(name.stem)] = row | {"unique_id": "/".join(name.parts[-3:])}
    except ValueError as e:
        raise _unreadable(path, e) from e
    return enumerate((found[key] for key in sorted(found)), 1)


def tar_members(path: Path, pattern: str) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The files of a tar whose names match, in its order. Raises UserError for a tar that can't be read to its end."""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if name.match(pattern) and (file := tar.extractfile(member)) is not None:
                    yield name, file.read()
            if path.stat().st_size < tar.offset + tarfile.BLOCKSIZE:  # of zeros, at the end; tarfile does without
                raise tarfile.ReadError("unexpected end of data")
    except (OSError, tarfile.TarError) as e:
        raise _unreadable(path, e) from e


def _unreadable(path: Path, why: object) -> UserError:
    return UserError(f"cannot read {path}: {why}; fetch it again, or choose another --data_dir")


FORMATS: dict[str, Callable[[Path], Numbered]] = {
    ".jsonl": journal.numbered,
    ".json": _json,
    ".tsv": _tsv,
    ".xml": _xml,
    ".tar": _tar,
}
