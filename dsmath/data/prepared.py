"""A prepared training set, read back: its manifest, and its examples in random access.

OUT/manifest.json                         what was written; its presence says that all of it was
OUT/report.md                             what was read, kept and dropped, and why, with samples
OUT/examples-DIGEST/SOURCE-N.array_record the examples, by what they were made of
OUT/dropped-DIGEST/SOURCE-N.jsonl         what was dropped, with the reason
OUT/stages/                               what the stages between rows and examples made, until it is done
"""

import bisect
import itertools
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grain

from dsmath import runs, storage
from dsmath.config import Config, Data
from dsmath.data import mixture
from dsmath.data.feed.pipeline import Part
from dsmath.data.stages.shards import of_file
from dsmath.error import UserError
from dsmath.records import Example

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
REPORT = "report.md"
STAGES = "stages"


class Records:
    """The examples of ArrayRecord files in random access. Picklable."""

    def __init__(self, paths: Sequence[str]):
        self._source = grain.sources.ArrayRecordDataSource(list(paths))

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        return Example.from_json(json.loads(self._source[index]))


class Examples:
    """A prepared training set in random access, source after source. Picklable."""

    def __init__(self, sources: dict[str, Records], hash: str):
        self.sources = sources
        self.hash = hash  # of the manifest
        self._parts = list(sources.values())
        self._ends = list(itertools.accumulate(map(len, self._parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        which = bisect.bisect_right(self._ends, index)
        return self._parts[which][index - self._ends[which] + len(self._parts[which])]


def examples(folder: Path, config: Config) -> Examples:
    """The training set that was prepared for this config.

    Raises UserError if there is none, if it isn't all there, or if it was prepared for another config.
    """
    folder = storage.path(folder)
    manifest = read_manifest(folder)
    runs.require_same(folder, manifest["settings"], mixture.settings(config))
    for file in manifest["sha256"]:
        if not (folder / file).is_file():
            raise UserError(f"{folder / file} is missing; delete {folder / MANIFEST} and run `dsmath prepare` again")
    local = folder if storage.is_local(folder) else _cached(folder, manifest)
    return Examples(
        {
            name: Records([str(local / file) for file in source["files"]])
            for name, source in manifest["sources"].items()
            if source["files"]
        },
        manifest["hash"],
    )


def parts(examples: Examples, data: Data) -> tuple[Part, ...]:
    """A training set as the input pipeline wants it: each source with its weight, or its epochs."""
    wanted = {name: mixture.part(data, name) for name in examples.sources}
    return tuple(
        Part(name, records, weight=wanted[name].weight, epochs=wanted[name].epochs)
        for name, records in examples.sources.items()
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a training set. Raises UserError if there is none."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"no training set in {folder}: {MANIFEST} is missing; run `dsmath prepare` first")
    try:
        return json.loads(path.read_text())
    except ValueError as e:
        raise UserError(f"cannot read {path}: {e}; delete {folder} and run `dsmath prepare` again") from e


def check(folder: Path, manifest: dict[str, Any]) -> None:
    """Raise UserError unless all files are what was written."""
    for file, digest in manifest["sha256"].items():
        path = folder / file
        if not path.is_file() or of_file(path) != digest:
            what = "is not what was written" if path.is_file() else "is missing"
            raise UserError(
                f"{path} {what}; delete {folder} and run `dsmath prepare` again, or choose another --workdir"
            )


def _cached(folder: Path, manifest: dict[str, Any]) -> Path:
    """A copy of a training set in this host's cache, whole or not at all: ArrayRecord is read from local files alone.

    Raises UserError if a file is not what was written.
    """
    copy = storage.cache() / "data" / manifest["hash"]
    if copy.is_dir():
        return copy
    log.info("copying the training set of %s to %s", folder, copy)
    with storage.build_folder(copy.with_name(f"{copy.name}.{os.getpid()}.tmp")) as temporary:
        for file, digest in manifest["sha256"].items():
            storage.copy_file(folder / file, temporary / file)
            if of_file(temporary / file) != digest:
                raise UserError(
                    f"{folder / file} is not what was written; delete {folder} and run `dsmath prepare` again"
                )
        try:
            os.rename(temporary, copy)
        except OSError:
            if not copy.is_dir():  # else another process was faster
                raise
    return copy
