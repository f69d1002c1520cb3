"""The training set of a run: the wanted sources written as ArrayRecord, with a manifest, and read back.

OUT/manifest.json             what was written; its presence says that all of it was
OUT/<source>/<modes>/1.0.0/   one TFDS data set per source
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
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from dsmath import journal
from dsmath.config import Config
from dsmath.data import builders
from dsmath.error import UserError
from dsmath.records import Example
from dsmath.suites import readers

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
PARTIAL = "partial"  # holds what is being written, until it is whole
MODES = ("cot", "tool")
FORMAT = "array_record"

Builder = tfds.core.GeneratorBasedBuilder


def _embedded(config: Config, data_dir: Path | None, folder: Path) -> Builder:
    data = config.data
    return builders.Embedded(
        modes=data.modes, problems=data.embedded_problems, seed=config.seed, data_dir=folder, file_format=FORMAT
    )


def _gsm8k(config: Config, data_dir: Path | None, folder: Path) -> Builder:
    path = readers.suite_file("gsm8k", data_dir, "train")
    return builders.GSM8K(
        modes=config.data.modes, path=path, sandbox=config.sandbox, data_dir=folder, file_format=FORMAT
    )


SOURCES: dict[str, Callable[[Config, Path | None, Path], Builder]] = {"embedded": _embedded, "gsm8k": _gsm8k}


def prepare(config: Config, out: Path, data_dir: Path | None) -> dict[str, Any]:
    """Write the training set that `config.data` asks for into `out`, and return its manifest.

    A finished one of the same settings is used again. Raises UserError for a finished one of other settings, an unknown
    source or mode, missing files, and a folder that can't be written.
    """
    _check(config)
    out = Path(out)
    if (out / MANIFEST).exists():
        return _reuse(out, config)
    partial = out / PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as e:
        raise UserError(f"cannot write {out}: {e.strerror}; choose another --workdir") from e
    sources = {name: _build(SOURCES[name](config, data_dir, partial), partial) for name in config.data.sources}
    for name in sources:
        shutil.rmtree(out / name, ignore_errors=True)
        os.replace(partial / name, out / name)
    shutil.rmtree(partial)
    manifest = {
        "settings": _settings(config),
        "data": dataclasses.asdict(config.data),
        "examples": sum(source["examples"] for source in sources.values()),
        "sources": sources,
        "sha256": _sha256(out, sources),
    }
    journal.write(out / MANIFEST, [json.dumps(manifest, indent=1, sort_keys=True)])
    log.info("wrote %d examples to %s", manifest["examples"], out)
    return _read_manifest(out)


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
        return builders.from_record(source[index - self._ends[which] + len(source)])


def examples(folder: Path) -> Examples:
    """The training set that `prepare` wrote. Raises UserError if there is none, or not all of it."""
    folder = Path(folder)
    sources = []
    for source in _read_manifest(folder)["sources"].values():
        path = folder / source["folder"]
        if not path.is_dir():
            raise UserError(f"{path} is missing; delete {folder} and run `dsmath prepare` again")
        sources.append(tfds.builder_from_directory(path).as_data_source("train"))
    return Examples(sources)


def _check(config: Config) -> None:
    for field, known in (("sources", tuple(SOURCES)), ("modes", MODES)):
        values = getattr(config.data, field)
        if not values or not set(values) <= set(known) or len(set(values)) < len(values):
            raise UserError(f"config.data.{field} is {values}; expected one or more of {', '.join(known)}, each once")
    if "embedded" in config.data.sources and config.data.embedded_problems < 1:
        raise UserError(f"config.data.embedded_problems is {config.data.embedded_problems}; expected at least 1")


def _settings(config: Config) -> dict[str, Any]:
    """The fields of a config that decide what is written."""
    settings = {"data.sources": list(config.data.sources), "data.modes": list(config.data.modes)}
    if "embedded" in config.data.sources:
        settings |= {"data.embedded_problems": config.data.embedded_problems, "seed": config.seed}
    return settings


def _build(builder: Builder, folder: Path) -> dict[str, Any]:
    tfds.disable_progress_bar()  # the builders show their own
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints; stdout is the verb's result
        builder.download_and_prepare()
    return {
        "folder": str(Path(builder.data_dir).relative_to(folder)),
        "examples": builder.info.splits["train"].num_examples,
        "drops": builder.info.metadata["drops"],
    }


def _reuse(out: Path, config: Config) -> dict[str, Any]:
    manifest, settings = _read_manifest(out), _settings(config)
    written = manifest["settings"]
    for field in sorted(written.keys() | settings.keys()):
        old, new = written.get(field), settings.get(field)
        if old != new:
            raise UserError(f"{out} was prepared with {field} = {old}, now it is {new}; delete it or choose another")
    for file, digest in _sha256(out, manifest["sources"]).items():
        if manifest["sha256"].get(file) != digest:
            raise UserError(f"{out / file} is not what was written; delete {out} and run `dsmath prepare` again")
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


def _sha256(out: Path, sources: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The digest of each file of the sources, by its path under `out`."""
    files = sorted(file for source in sources.values() for file in (out / source["folder"]).iterdir())
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
