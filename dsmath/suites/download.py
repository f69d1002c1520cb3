"""Benchmarks as TFDS data sets, downloaded from where they are published.

Addresses name a commit, where there is a repository. SHA-256 sums are those that others have published for the same
address. CMATH's and MAWPS's files have none that we know of: what is downloaded is then logged with its sum, and the
commit (MAWPS: the number of problems) is what vouches for it. TFDS registers a sum only with a size, which is published
for some files alone; hence the check here.

- MATH's archive and GSM8K, MGSM, SVAMP, ASDiv are their authors' files. The archive's order isn't that of the
  test.jsonl which is in wide use, so its problems are named by their files: math-test-algebra-1004.
- CMATH is taken from DeepSeekMath's evaluation: its authors' repository has 600 problems of 1,698 only.
- MAWPS's four parts are those of ToRA's evaluation; the authors' own server is gone.
- MATH-500 is the test split of PRM800K.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import logging
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from dsmath.error import UserError
from dsmath.records import Problem
from dsmath.suites import layouts

log = logging.getLogger(__name__)

REACH_TIMEOUT_S = 10


@dataclasses.dataclass(frozen=True)
class Download:
    """A published file."""

    name: str  # as dsmath/suites/layouts.py knows it
    url: str
    sha256: str | None


def _github(path: str) -> str:
    return f"https://raw.githubusercontent.com/{path}"


DOWNLOADS = {
    "gsm8k": (
        Download(
            "test.jsonl",
            _github(
                "openai/grade-school-math/3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data/test.jsonl"
            ),
            "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
        ),
    ),
    "math": (
        Download(
            "MATH.tar",
            "https://people.eecs.berkeley.edu/~hendrycks/MATH.tar",
            "0fbe4fad0df66942db6c221cdcc95b298cc7f4595a2f0f518360cce84e90d9ac",
        ),
    ),
    "mgsm_zh": (
        Download(
            "mgsm_zh.tsv",
            _github("google-research/url-nlp/452a21ad3dae5668c06ceeac21ff073e1e40f9be/mgsm/mgsm_zh.tsv"),
            "b2fa63151022370a0de1f4211c8c284eae74b0f5a3b003b1d5982c0d4a73f661",
        ),
    ),
    "cmath": (
        Download(
            "test.jsonl",
            _github(
                "deepseek-ai/DeepSeek-Math/21cc5c6701a708a11cee0af8b1fe884e3294dc7a/evaluation/datasets/cmath/test.jsonl"
            ),
            None,
        ),
    ),
    "math500": (
        Download(
            "test.jsonl",
            "https://media.githubusercontent.com/media/openai/prm800k/7ecc794703b2877f63226f2477a49b34f9b25163/"
            "prm800k/math_splits/test.jsonl",
            "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
        ),
    ),
    "svamp": (
        Download(
            "SVAMP.json",
            _github("arkilpatel/SVAMP/78e727689e1c1bebfc4be39c446898e8e10b0518/SVAMP.json"),
            "5be77703a6d891ae476d7c082787ad361392aa02453b132516cdd5f4e7934e3e",
        ),
    ),
    "asdiv": (
        Download(
            "ASDiv.xml",
            _github("chaochun/nlu-asdiv-dataset/883f90a9a65bf00304ba8f37423910fe743abc47/dataset/ASDiv.xml"),
            "ef8904068482919ac48c8eeaaf6df344b8a308ba66d048c2d4d87eab82dc4929",
        ),
    ),
    "mawps": tuple(
        Download(name, _github(f"microsoft/ToRA/main/src/data/mawps/{name}"), None)
        for name in layouts.LAYOUTS["mawps"].files[0]
    ),
}


class Benchmark(tfds.core.GeneratorBasedBuilder):
    """A suite per config, with the split "test". `folder` holds the published files; without it they are downloaded."""

    name = "dsmath_benchmark"
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=suite) for suite in DOWNLOADS]  # noqa: RUF012  as TFDS wants it
    code_path = None  # looks for TFDS's own checksums with a package it doesn't require

    def __init__(self, *, folder: Path | None = None, **kwargs: Any):
        self._folder = folder
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        texts = ("id", "lang", "question", "gold", "meta")  # meta is JSON
        features = tfds.features.FeaturesDict({name: tfds.features.Text() for name in texts})
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        suite = self.builder_config.name
        files = layouts.find(suite, self._folder) if self._folder else _download(suite, dl_manager)
        return {"test": self._generate_examples(layouts.read(suite, files))}

    def _generate_examples(self, problems: list[Problem]) -> Iterator[tuple[int, dict[str, str]]]:
        for key, problem in enumerate(problems):
            record = {name: getattr(problem, name) for name in ("id", "lang", "question", "gold")}
            yield key, record | {"meta": json.dumps(problem.meta)}


def problems(suite: str, root: Path | None = None) -> list[Problem]:
    """A suite's problems, downloaded if they aren't yet in `root`, by default TFDS's folder ($TFDS_DATA_DIR).

    Raises UserError if they can't be downloaded or aren't what was published.
    """
    builder = Benchmark(config=suite, data_dir=root, file_format="array_record")
    if not builder.is_prepared():
        log.info("downloading %s", suite)
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints; stdout is the verb's result
        builder.download_and_prepare()
    return [_from_record(suite, record) for record in builder.as_data_source("test")]


def _from_record(suite: str, record: dict[str, bytes]) -> Problem:
    texts = {name: value.decode() for name, value in record.items()}
    return Problem(**texts | {"suite": suite, "meta": json.loads(texts["meta"])})


def _download(suite: str, dl_manager: tfds.download.DownloadManager) -> layouts.Files:
    downloads = DOWNLOADS[suite]
    try:
        _reach(downloads[0].url)
        files = dl_manager.download({d.name: d.url for d in downloads})
    except (OSError, tfds.download.DownloadError) as e:
        urls = ", ".join(d.url for d in downloads)
        raise UserError(f"cannot download {suite} from {urls} ({e}); fetch it by hand and give --data_dir") from e
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
