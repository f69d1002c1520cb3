"""How stages meet: a source in shards, each of which is a file of what a stage made of it.

A shard is whole or absent, so that a killed preparation goes on with those that are missing; the folder's name holds a
digest of all that its content depends on, so that another preparation never reads it.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dsmath import journal

ROWS = 2048  # per shard: what a kill may cost, per worker

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Shard:
    """A part of a source."""

    source: str
    number: int

    @property
    def name(self) -> str:
        """Of its files, without a suffix."""
        return f"{self.source}-{self.number:05}"


@dataclasses.dataclass(frozen=True)
class Files:
    """Where a stage keeps what it made of each shard. Picklable."""

    folder: Path
    suffix: str = ".jsonl"

    def path(self, shard: Shard) -> Path:
        """The file of a shard."""
        return self.folder / f"{shard.name}{self.suffix}"

    def has(self, shard: Shard) -> bool:
        """Whether the shard is done."""
        return self.path(shard).exists()

    def read(self, shard: Shard) -> Iterator[Record]:
        """The records of a shard."""
        return journal.read(self.path(shard))

    def write(self, shard: Shard, records: Iterable[Record]) -> None:
        """Write a shard, whole or not at all. Raises UserError if the disk doesn't take it."""
        journal.write(self.path(shard), map(journal.line, records))


def digest(*parts: Any) -> str:
    """Sixteen characters that stand for JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def of_file(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def counted(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by reason, the most frequent first."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
