"""Sources as TFDS data sets: rows with the fields that they have, from a folder or from where they are published."""

import contextlib
import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from dsmath.data.source import Bad, Rows, Source, find_files
from dsmath.error import UserError
from dsmath.suites import download
from dsmath.suites.suite import Files

log = logging.getLogger(__name__)


class SourceBuilder(tfds.core.GeneratorBasedBuilder):
    """The rows of a source, with the split "train". `folder` holds the published files; without it they are downloaded.

    A field that is no text is JSON. What is no row is left out, and counted in the metadata's `skipped`.
    """

    name = "dsmath_source"
    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # looks for TFDS's own checksums with a package it doesn't require

    def __init__(self, source: Source, *, folder: Path | None = None, **kwargs: Any):
        """`kwargs` are those of TFDS."""
        self._source, self._folder = source, folder
        super().__init__(config=tfds.core.BuilderConfig(name=source.name), **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        texts = {name: tfds.features.Text() for name in ("row", *self._source.fields)}
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(texts),
            citation=self._source.citation,
            license=self._source.license,
            metadata=tfds.core.MetadataDict(skipped={}),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        files = find_files(self._source, self._folder) if self._folder else fetch(self._source, dl_manager)
        if files is None:
            raise UserError(f"no files of {self._source.name} in {self._folder}; choose another folder")
        return {"train": self._generate_examples(self._source.rows(files))}

    def _generate_examples(self, rows: Rows) -> Iterator[tuple[int, dict[str, str]]]:
        skipped: dict[str, int] = {}
        for number, (key, row) in enumerate(rows):
            if isinstance(row, Bad):
                skipped[row.reason] = skipped.get(row.reason, 0) + 1
                continue
            texts = {name: _text(row.get(name)) for name in self._source.fields}
            yield number, {"row": key} | texts
        self.info.metadata["skipped"] = skipped


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def fetch(source: Source, dl_manager: tfds.download.DownloadManager) -> Files:
    """The published files of a source, downloaded and checked. Raises UserError if they can't be had."""
    if not source.downloads:
        raise UserError(f"{source.name} has no address to download from; give its folder with --data_dir")
    return download.fetch(source.name, source.downloads, dl_manager)


def downloaded(source: Source, root: Path | None = None) -> Files:
    """The files of a source in TFDS's folder ($TFDS_DATA_DIR, or `root`), fetched where they aren't yet."""
    log.info("downloading %s: %s", source.title, source.citation)
    folder = root or Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints; stdout is the verb's result
        return fetch(source, tfds.download.DownloadManager(download_dir=folder / "downloads"))
