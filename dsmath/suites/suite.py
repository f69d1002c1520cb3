"""What a benchmark is, as a record; and how its published files become problems.

A suite's files lie in DATA_DIR/SUITE. Its gold answer is what its grader wants: a number or text, or a whole solution,
from which the grader extracts the answer.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from dsmath.error import UserError
from dsmath.records import Problem
from dsmath.suites import published
from dsmath.suites.published import Row, text

Files = Mapping[str, Path]  # by the names under which they are published


@dataclasses.dataclass(frozen=True)
class Download:
    """A published file."""

    name: str  # one of the suite's files
    url: str
    sha256: str | None  # None: nobody has published it


@dataclasses.dataclass(frozen=True)
class Layout:
    """The files of a suite, and what their rows mean."""

    files: tuple[tuple[str, ...], ...]  # the sets of files that each hold the whole suite
    downloads: tuple[Download, ...]  # of one of these sets
    question: Callable[[Row], str]
    gold: Callable[[Row], str]
    meta: Callable[[Row], Row]
    place: Callable[[Row], str | None] = lambda row: None  # names the row in its file, where its number doesn't


@dataclasses.dataclass(frozen=True)
class Suite:
    """One benchmark."""

    name: str
    title: str
    langs: tuple[str, ...]
    citation: str
    size: int | None  # problems; None: as many as the generator is asked for
    layout: Layout | None  # None: it is generated
    gold_is_solution: bool = False  # then answers are lists under the reference protocol
    part_of: str | None = None  # the suite whose files hold this one, where it has no folder of its own
    select: Callable[[Sequence[Problem], str], list[Problem]] | None = None  # from that suite's problems


def fields(*names: str) -> Callable[[Row], Row]:
    """The named fields of a row."""
    return lambda row: {name: row[name] for name in names}


def github(path: str) -> str:
    """The address of a file in a repository: OWNER/NAME/COMMIT/PATH."""
    return f"https://raw.githubusercontent.com/{path}"


def without_commas(answer: str) -> str:
    """A number without the commas that group its digits."""
    return answer.replace(",", "").strip()


def number(value: Any) -> str:
    """A number as people write it: 145 for 145.0."""
    return str(int(value)) if value == int(value) else repr(float(value))


def find_files(suite: Suite, layout: Layout, folder: Path) -> Files:
    """The suite's files in DATA_DIR/SUITE. Raises UserError if they aren't there."""
    for names in layout.files:
        if all((folder / name).is_file() for name in names):
            return {name: folder / name for name in names}
    wanted = " or ".join(" + ".join(str(folder / name) for name in names) for names in layout.files)
    raise UserError(f"no file {wanted}; expected the published {suite.name} there; choose another --data_dir")


def read(suite: Suite, layout: Layout, files: Files) -> list[Problem]:
    """The problems that a suite's files hold. Raises UserError if they aren't as many as were published."""
    found: list[Problem] = []
    for name, path in files.items():
        part = PurePath(name).stem if len(files) > 1 else ""

        def problem(number: int, row: Row, part: str = part) -> Problem:
            place = layout.place(row) or str(number - 1)
            return Problem(
                id="-".join(filter(None, (suite.name, "test", part, place))),
                suite=suite.name,
                lang=suite.langs[0],
                question=text(layout.question(row)),
                gold=text(layout.gold(row)),
                meta=layout.meta(row) | ({"type": part} if part else {}),
            )

        found += published.rows(path, problem, format=PurePath(name).suffix)
    check(suite, found, ", ".join(map(str, files.values())))
    return found


def check(suite: Suite, found: Sequence[Problem], where: str) -> None:
    """Raise UserError unless these are as many problems as were published, each once."""
    n = len({problem.id for problem in found})
    if n != suite.size:
        raise UserError(
            f"{suite.name} has {suite.size} problems, but {n} were found in {where}; fetch it again or choose another "
            "--data_dir (for a part of a suite, set config.eval.limit)"
        )
