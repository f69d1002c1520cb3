"""The first stage: the rows of a source, as published, in shards; what is no row is counted.

It runs where the files are; later stages read shards alone, on any worker.
"""

import itertools
import json
from collections.abc import Iterator

from dsmath import journal
from dsmath.data.source import Bad, Rows, Source
from dsmath.data.stages.shards import ROWS, Files, Record, Shard
from dsmath.suites.published import Row

LONGEST = 100_000  # characters of a row's texts: what is longer is no problem, but a file gone wrong


def write(source: Source, rows: Rows, files: Files) -> list[Shard]:
    """The shards of a source, written unless all of them are there."""
    whole = files.folder / f"{source.name}.json"  # says how many there are; the last file
    if whole.exists():
        return [Shard(source.name, number) for number in range(json.loads(whole.read_text()))]
    shards = []
    for number, batch in enumerate(_batches(rows)):
        shards.append(Shard(source.name, number))
        files.write(shards[-1], (record(source, key, row) for key, row in batch))
    journal.write(whole, [json.dumps(len(shards))])
    return shards


def _batches(rows: Rows) -> Iterator[list[tuple[str, Row | Bad]]]:
    while batch := list(itertools.islice(rows, ROWS)):
        yield batch


def record(source: Source, key: str, row: Row | Bad) -> Record:
    """{"row", "fields"}, or {"row", "dropped"} and why."""
    reason = row.reason if isinstance(row, Bad) else _wrong(source, row)
    if reason or isinstance(row, Bad):
        return {"row": key, "dropped": reason}
    return {"row": key, "fields": {name: row[name] for name in source.fields}}


def _wrong(source: Source, row: Row) -> str | None:
    """Why a row can't be used, None if it can."""
    size = 0
    for name, kind in source.fields.items():
        if name not in row:
            return f"the field {name!r} is missing"
        value = row[name]
        if not isinstance(value, kind):
            return f"the field {name!r} is no {kind.__name__}"
        try:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            text.encode()
        except (TypeError, ValueError, RecursionError):
            return f"the field {name!r} has half a character, or is no JSON"
        if "\0" in text or "\\u0000" in text:
            return f"the field {name!r} has NUL characters"
        size += len(text)
    return f"more than {LONGEST} characters" if size > LONGEST else None
