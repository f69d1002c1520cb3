"""What a source of training examples is: published files, what their rows hold, and what the rows become.

    files -> rows, as published -> drafts, whose programs have not run -> examples (dsmath/data/stages)

A new source is one file in dsmath/data/sources and one line in `sources/known.py`.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dsmath.suites.published import Row
from dsmath.suites.suite import Download, Files


class Unusable(Exception):
    """A row that gives no draft; the message is the reason, by which drops are counted."""


@dataclasses.dataclass(frozen=True)
class Draft:
    """An example whose programs have not run: what the model is to write, turn by turn.

    Mode "cot" and "pot" have one turn. In mode "tool" each turn but the last ends with a program in a Python fence,
    whose output stands between it and the next one.
    """

    lang: str  # "en" or "zh"
    question: str
    turns: tuple[str, ...]
    answer: str | None  # the gold; None where the source has none: then it is what the solution says
    topic: str = ""
    license: str = ""  # where rows of one source differ in it


@dataclasses.dataclass(frozen=True)
class Bad:
    """A record of a file that is no row, and why."""

    reason: str


Rows = Iterator[tuple[str, Row | Bad]]  # with what names the row in its source
Convert = Callable[[Row], Draft | None]  # None: a row of another mode. Raises Unusable


@dataclasses.dataclass(frozen=True)
class Generated:
    """What a source that is not published makes its rows of."""

    problems: int  # per language
    seed: int


@dataclasses.dataclass(frozen=True)
class Source:
    """One source of training examples."""

    name: str
    title: str
    license: str  # by its SPDX name, where it has one
    citation: str
    files: tuple[tuple[str, ...], ...]  # under DATA_DIR/NAME: the sets of files (or globs) that each hold all of it
    downloads: tuple[Download, ...]  # of one of these sets
    fields: Mapping[str, type]  # of a row as published; a text, or what JSON has for another type
    rows: Callable[[Files], Rows]
    drafts: Mapping[str, Convert]  # by mode
    generate: Callable[[Generated], Rows] | None = None  # of a source without files

    @property
    def modes(self) -> tuple[str, ...]:
        """What its rows can become."""
        return tuple(self.drafts)


def find_files(source: Source, folder: Path) -> Files | None:
    """The source's files in a folder, by their paths in it; None if they aren't there."""
    for names in source.files:
        found = [sorted(path for path in folder.glob(name) if path.is_file()) for name in names]
        if all(found):
            return {str(path.relative_to(folder)): path for paths in found for path in paths}
    return None
