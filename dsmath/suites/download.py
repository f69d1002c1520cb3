"""Benchmarks as TFDS data sets, downloaded from where they are published.

Addresses name a commit, where there is a repository. SHA-256 sums are those that others have published for the same
address; of a file without one, what is downloaded is logged with its sum, and the commit (else the number of problems)
is what vouches for it. TFDS registers a sum only with a size, which is published for some files alone; hence the check
here.
"""

import contextlib
import hashlib
import io
import json
import logging
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from dsmath.error import UserError
from dsmath.records import Problem
from dsmath.suites.suite import Download, Files, Suite, find_files, read

log = logging.getLogger(__name__)

REACH_TIMEOUT_S = 10


class Benchmark(tfds.core.GeneratorBasedBuilder):
    """A suite, with the split "test". `folder` holds the published files; without it they are downloaded."""

    name = "dsmath_benchmark"
    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # looks for TFDS's own checksums with a package it doesn't require

    def __init__(self, suite: Suite, *, folder: Path | None = None, **kwargs: Any):
        assert suite.layout is not None  # a generated suite has nothing to build
        self._suite, self._layout, self._folder = suite, suite.layout, folder
        super().__init__(config=tfds.core.BuilderConfig(name=suite.name), **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        texts = ("id", "lang", "question", "gold", "meta")  # meta is JSON
        features = tfds.features.FeaturesDict({name: tfds.features.Text() for name in texts})
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        suite, layout = self._suite, self._layout
        found = self._folder and find_files(suite, layout, self._folder)
        files = found or fetch(suite.name, layout.downloads, dl_manager)
        return {"test": self._generate_examples(read(suite, layout, files))}

    def _generate_examples(self, problems: list[Problem]) -> Iterator[tuple[int, dict[str, str]]]:
        for key, problem in enumerate(problems):
            record = {name: getattr(problem, name) for name in ("id", "lang", "question", "gold")}
            yield key, record | {"meta": json.dumps(problem.meta)}


def problems(suite: Suite, root: Path | None = None) -> list[Problem]:
    """A suite's problems, downloaded if they aren't yet in `root`, by default TFDS's folder ($TFDS_DATA_DIR).

    Raises UserError if they can't be downloaded or aren't what was published.
    """
    builder = Benchmark(suite, data_dir=root, file_format="array_record")
    if not builder.is_prepared():
        log.info("downloading %s: %s", suite.title, suite.citation)
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints; stdout is the verb's result
        builder.download_and_prepare()
    return [_from_record(suite.name, record) for record in builder.as_data_source("test")]


def _from_record(suite: str, record: dict[str, bytes]) -> Problem:
    texts = {name: value.decode() for name, value in record.items()}
    return Problem(**texts | {"suite": suite, "meta": json.loads(texts["meta"])})


def fetch(name: str, downloads: Sequence[Download], dl_manager: tfds.download.DownloadManager) -> Files:
    """Published files, by their names, downloaded unless they are there, and checked. Raises UserError."""
    try:
        _reach(downloads[0].url)
        files = dl_manager.download({d.name: d.url for d in downloads})
    except (OSError, tfds.download.DownloadError) as e:
        urls = ", ".join(d.url for d in downloads)
        raise UserError(f"cannot download {name} from {urls} ({e}); fetch it by hand and give --data_dir") from e
    for download in downloads:
        _check(download, Path(files[download.name]))
    return {name: Path(path) for name, path in files.items()}


def _reach(url: str) -> None:
    """Raise OSError at once where there is no network: TFDS asks ten times, for minutes."""
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=REACH_TIMEOUT_S):
        pass


def _check(download: Download, path: Path) -> None:
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if download.sha256 is None:
        log.info("%s has SHA-256 %s; none is published", download.url, found)
    elif found != download.sha256:
        raise UserError(
            f"{download.url} has SHA-256 {found}, expected {download.sha256}; "
            f"delete {path} and try again, or fetch it by hand and give --data_dir"
        )
