"""What a source of training examples is, and its TFDS builder: an ArrayRecord record per (problem, mode)."""

import collections
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rich.console
import rich.progress
import tensorflow_datasets as tfds

from dsmath import config
from dsmath.records import Example, Piece
from dsmath.records import Source as Writer

TEXTS = ("id", "source", "lang", "mode", "question", "answer")
Keyed = Iterator[tuple[str, dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a source makes its examples of."""

    source: str
    files: tuple[Path, ...]  # that it reads
    modes: tuple[str, ...]
    problems: int  # per language, of a source that generates them
    seed: int
    limits: config.Sandbox  # of programs
    stages: Path  # the folder for what stages write
    pinned: dict[str, Any]  # JSON values: what a stage's file depends on


@dataclasses.dataclass(frozen=True)
class Source:
    """One source of training examples: where its rows come from, and what they become."""

    name: str
    files: tuple[str, ...]  # under DATA_DIR
    examples: Callable[[Inputs, collections.Counter[str]], Iterator[Example]]
    settings: tuple[str, ...] = ()  # fields of the config, beside sources and modes, that decide on its examples


class ExampleBuilder(tfds.core.GeneratorBasedBuilder):
    """The examples of a source as a TFDS data set, with the split "train".

    The metadata's `drops` counts examples left out, by reason.
    """

    name = "dsmath_source"
    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # looks for checksums of downloads, of which there are none, with a package TFDS doesn't require

    def __init__(self, source: Source, inputs: Inputs, **kwargs: Any):
        """`kwargs` are those of TFDS."""
        self._source, self._inputs = source, inputs
        super().__init__(config=tfds.core.BuilderConfig(name=source.name), **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, features=features(), metadata=tfds.core.MetadataDict(drops={}))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Keyed]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Keyed:
        drops: collections.Counter[str] = collections.Counter()
        with rich.progress.Progress(
            rich.progress.SpinnerColumn(),
            *("{task.description}", rich.progress.MofNCompleteColumn(), rich.progress.TimeElapsedColumn()),
            console=rich.console.Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        ) as bar:
            task = bar.add_task(f"{self._source.name}: examples", total=None)
            for example in self._source.examples(self._inputs, drops):
                bar.advance(task)
                yield example.id, to_record(example)
        self.info.metadata["drops"] = dict(sorted(drops.items()))


def features() -> tfds.features.FeaturesDict:
    """The fields of an Example."""
    pieces = {
        "source": tfds.features.ClassLabel(names=[writer.name for writer in Writer]),
        "text": tfds.features.Text(),
    }
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
        solution=tuple(Piece(Writer(int(writer)), text.decode()) for writer, text in pieces),
    )
