"""TFDS builders of the training sources: one ArrayRecord record per (problem, mode), each an Example."""

import collections
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import rich.console
import rich.progress
import tensorflow_datasets as tfds

from dsmath import config
from dsmath.data import gsm8k
from dsmath.records import Example, Piece, Source
from dsmath.suites.embedded import generate

TEXTS = ("id", "source", "lang", "mode", "question", "answer")
Keyed = Iterator[tuple[str, dict[str, Any]]]


class ExampleBuilder(tfds.core.GeneratorBasedBuilder):
    """A source of Examples, with the split "train". The metadata's `drops` counts examples left out, by reason."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # looks for checksums of downloads, of which there are none, with a package TFDS doesn't require

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, features=features(), metadata=tfds.core.MetadataDict(drops={}))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Keyed]:
        return {"train": self._generate_examples()}


class Embedded(ExampleBuilder):
    """Generated word problems: dsmath/suites/embedded."""

    name = "embedded"

    def __init__(self, *, modes: Sequence[str], problems: int, seed: int, **kwargs: Any):
        """`problems` is per language; `kwargs` are those of TFDS."""
        self._modes, self._problems, self._seed = modes, problems, seed
        super().__init__(**kwargs)

    def _generate_examples(self) -> Keyed:
        for lang in generate.LANGUAGES:
            problems = generate.generate("train", lang, self._problems, self._seed)
            examples = (generate.to_example(p, mode) for p in problems for mode in self._modes)
            yield from _records(examples, f"embedded problems ({lang})", len(problems) * len(self._modes))


class GSM8K(ExampleBuilder):
    """GSM8K's training rows, with programs from their annotations: dsmath/data/gsm8k.py."""

    name = "gsm8k"

    def __init__(self, *, modes: Sequence[str], path: Path, sandbox: config.Sandbox, **kwargs: Any):
        """`path` holds the rows, `sandbox` the limits of the programs; `kwargs` are those of TFDS."""
        self._modes, self._path, self._sandbox = modes, path, sandbox
        super().__init__(**kwargs)

    def _generate_examples(self) -> Keyed:
        drops: collections.Counter[str] = collections.Counter()
        rows = gsm8k.read(self._path)
        examples = gsm8k.examples(rows, self._modes, self._sandbox, drops)
        yield from _records(examples, "GSM8K: running programs", len(rows) * len(self._modes))
        self.info.metadata["drops"] = dict(drops)


def features() -> tfds.features.FeaturesDict:
    """The fields of an Example."""
    pieces = {"source": tfds.features.ClassLabel(names=[s.name for s in Source]), "text": tfds.features.Text()}
    texts = {name: tfds.features.Text() for name in TEXTS}
    return tfds.features.FeaturesDict(texts | {"solution": tfds.features.Sequence(pieces)})


def to_record(example: Example) -> dict[str, Any]:
    """An example as `features` wants it."""
    pieces = [{"source": piece.source.name, "text": piece.text} for piece in example.solution]
    return {name: getattr(example, name) for name in TEXTS} | {"solution": pieces}


def from_record(record: dict[str, Any]) -> Example:
    """The example that a record holds: texts come back as bytes, sources as their numbers."""
    pieces = zip(record["solution"]["source"], record["solution"]["text"], strict=True)
    return Example(
        **{name: record[name].decode() for name in TEXTS},
        solution=tuple(Piece(Source(int(source)), text.decode()) for source, text in pieces),
    )


def _records(examples: Iterable[Example], description: str, total: int) -> Keyed:
    console = rich.console.Console(stderr=True)
    shown = rich.progress.track(
        examples, description, total, console=console, transient=True, disable=not sys.stderr.isatty()
    )
    for example in shown:
        yield example.id, to_record(example)
