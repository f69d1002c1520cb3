"""The training set of a run: the wanted sources written as ArrayRecord, with a manifest, and read back.

OUT/manifest.json                     what was written; its presence says that all of it was
OUT/stages/<source>-<stage>.jsonl     what the stages between raw rows and examples made
OUT/<source>/1.0.0/                   a TFDS data set per source
"""

import bisect
import contextlib
import dataclasses
import hashlib
import io
import itertools
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from dsmath import journal, runs, storage
from dsmath.config import Config, Data, need
from dsmath.data import embedded, gsm8k
from dsmath.data import source as sources
from dsmath.data.source import ExampleBuilder, Inputs, Source
from dsmath.error import UserError
from dsmath.records import COT, TOOL, Example

log = logging.getLogger(__name__)

SOURCES: dict[str, Source] = {source.name: source for source in (embedded.SOURCE, gsm8k.SOURCE)}
MANIFEST = "manifest.json"
STAGES = "stages"
PARTIAL = "partial"  # holds what is being written, until it is whole
MODES = (COT, TOOL)


def prepare(config: Config, out: Path, data_dir: Path | None) -> dict[str, Any]:
    """Write the training set that `config.data` asks for into `out`, and return its manifest.

    A finished one of the same settings and inputs is used again; one that was killed goes on with the programs that it
    has not run yet. Raises UserError for a finished one of other settings or inputs, an unknown source or mode, missing
    files, and a folder that can't be written.
    """
    data = _checked(config)
    out = storage.path(out)
    if (out / MANIFEST).exists():
        return _reuse(out, config, data_dir)
    inputs = {name: _inputs(SOURCES[name], config, out, data_dir) for name in data.sources}
    with journal.lock(out / "lock"):
        manifest = _write(config, data, inputs, out)
    log.info("wrote %d examples to %s", manifest["examples"], out)
    return _read_manifest(out)


def _write(config: Config, data: Data, inputs: dict[str, Inputs], out: Path) -> dict[str, Any]:
    with storage.build_folder(out / PARTIAL) as partial:
        built = {name: _build(SOURCES[name], found, partial) for name, found in inputs.items()}
        for name in built:
            storage.move_folder(partial / ExampleBuilder.name / name, out / name)
    manifest = {
        "settings": _settings(config),
        "data": dataclasses.asdict(data),
        "examples": sum(source["examples"] for source in built.values()),
        "sources": built,
        "inputs": {name: digest for found in inputs.values() for name, digest in found.pinned["files"]},
        "sha256": _sha256(out, built),
    }
    journal.write(out / MANIFEST, [json.dumps(manifest, indent=1, sort_keys=True)])
    return manifest


class Examples:
    """A prepared training set in random access, source after source."""

    def __init__(self, sources: Sequence[Sequence[dict[str, Any]]]):
        self._sources = sources
        self._ends = list(itertools.accumulate(map(len, sources)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        which = bisect.bisect_right(self._ends, index)
        source = self._sources[which]
        return sources.from_record(source[index - self._ends[which] + len(source)])


def examples(folder: Path, config: Config) -> Examples:
    """The training set that `prepare` wrote for this config.

    Raises UserError if there is none, if it isn't all there, or if it was written for another config.
    """
    folder = storage.path(folder)
    manifest = _read_manifest(folder)
    runs.require_same(folder, manifest["settings"], _settings(config))
    for file in manifest["sha256"]:
        if not (folder / file).is_file():
            raise UserError(f"{folder / file} is missing; delete {folder / MANIFEST} and run `dsmath prepare` again")
    local = folder if storage.is_local(folder) else _cached(folder, manifest)
    found = [tfds.builder_from_directory(local / source["folder"]) for source in manifest["sources"].values()]
    return Examples([builder.as_data_source("train") for builder in found])


def _cached(folder: Path, manifest: dict[str, Any]) -> Path:
    """A copy of a training set in this host's cache, whole or not at all: ArrayRecord is read from local files alone.

    Raises UserError if a file is not what was written.
    """
    name = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    copy = storage.cache() / "data" / name
    if copy.is_dir():
        return copy
    log.info("copying the training set of %s to %s", folder, copy)
    with storage.build_folder(copy.with_name(f"{name}.{os.getpid()}.tmp")) as temporary:
        for file, digest in manifest["sha256"].items():
            storage.copy_file(folder / file, temporary / file)
            if _digest(temporary / file) != digest:
                raise UserError(
                    f"{folder / file} is not what was written; delete {folder} and run `dsmath prepare` again"
                )
        try:
            os.rename(temporary, copy)
        except OSError:
            if not copy.is_dir():  # else another process was faster
                raise
    return copy


def _checked(config: Config) -> Data:
    data = need(config.data, "data")
    for field, known in (("sources", tuple(SOURCES)), ("modes", MODES)):
        values = getattr(data, field)
        if not values or not set(values) <= set(known) or len(set(values)) < len(values):
            raise UserError(f"config.data.{field} is {values}; expected one or more of {', '.join(known)}, each once")
    if "embedded" in data.sources and data.embedded_problems < 1:
        raise UserError(f"config.data.embedded_problems is {data.embedded_problems}; expected at least 1")
    return data


def _settings(config: Config) -> dict[str, Any]:
    """The fields of a config that decide what is written, by dotted name."""
    data = need(config.data, "data")
    flat = runs.flatten(dataclasses.asdict(config))
    wanted = ["data.sources", "data.modes", *(name for s in data.sources for name in SOURCES[s].settings)]
    return {name: flat[name] for name in wanted}


def _inputs(source: Source, config: Config, out: Path, data_dir: Path | None) -> Inputs:
    data, limits = need(config.data, "data"), need(config.sandbox, "sandbox")
    files = tuple(_file(source, name, data_dir) for name in source.files)
    pinned = {
        "modes": list(data.modes),
        "files": [[name, _digest(path)] for name, path in zip(source.files, files, strict=True)],
        "limits": {name: getattr(limits, name) for name in ("timeout_s", "memory_mb", "output_kb")},
    }
    return Inputs(
        source=source.name,
        files=files,
        modes=data.modes,
        problems=data.embedded_problems,
        seed=config.seed,
        limits=limits,
        stages=out / STAGES,
        pinned=pinned,
    )


def _file(source: Source, name: str, data_dir: Path | None) -> Path:
    if data_dir is None:
        raise UserError(f"{source.name} is read from published files; give their folder with --data_dir")
    path = Path(data_dir) / name
    if not path.is_file():
        raise UserError(f"no file {path}; expected the training set of {source.name} there; choose another --data_dir")
    return path


def _build(source: Source, inputs: Inputs, folder: Path) -> dict[str, Any]:
    tfds.disable_progress_bar()  # the builder shows its own
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints; stdout is the verb's result
        builder = ExampleBuilder(source, inputs, data_dir=folder, file_format="array_record")
        builder.download_and_prepare()
    return {
        "folder": str(Path(builder.data_dir).relative_to(folder / ExampleBuilder.name)),
        "examples": builder.info.splits["train"].num_examples,
        "drops": builder.info.metadata["drops"],
    }


def _reuse(out: Path, config: Config, data_dir: Path | None) -> dict[str, Any]:
    manifest = _read_manifest(out)
    runs.require_same(out, manifest["settings"], _settings(config))
    way_out = f"delete {out} and run `dsmath prepare` again, or choose another --workdir"
    for name, digest in manifest["inputs"].items():
        if data_dir is not None and (path := Path(data_dir) / name).is_file() and _digest(path) != digest:
            raise UserError(f"{path} is not the file that {out} was made of; {way_out}")
    found = _sha256(out, manifest["sources"])
    for file, digest in manifest["sha256"].items():
        if found.get(file) != digest:
            what = "is not what was written" if file in found else "is missing"
            raise UserError(f"{out / file} {what}; {way_out}")
    log.info("%s is already prepared: %d examples", out, manifest["examples"])
    return manifest


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"no training set in {folder}: {MANIFEST} is missing; run `dsmath prepare` first")
    try:
        return json.loads(path.read_text())
    except ValueError as e:
        raise UserError(f"cannot read {path}: {e}; delete {folder} and run `dsmath prepare` again") from e


def _sha256(out: Path, built: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The digest of each file of the sources, by its path under `out`."""
    folders = [out / source["folder"] for source in built.values()]
    files = sorted(file for folder in folders if folder.is_dir() for file in folder.iterdir())
    return {str(file.relative_to(out)): _digest(file) for file in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
