"""A suite's problems: from local files, from a download, or generated."""

import itertools
from pathlib import Path

from dsmath.error import UserError
from dsmath.records import Problem
from dsmath.suites import layouts, math500
from dsmath.suites.embedded import generate

EMBEDDED_PROBLEMS = 200  # of the embedded suite where no limit is given
SUITES = ("embedded", *layouts.LAYOUTS)


def problems(suite: str, data_dir: Path | None = None, *, limit: int = 0, seed: int = 0) -> list[Problem]:
    """The first `limit` problems of a suite, all for 0.

    Published suites are read from DATA_DIR/SUITE (dsmath/suites/layouts.py tells the files), MATH-500 from MATH's if it
    has no folder of its own; where there is no `data_dir`, they are downloaded. "embedded" needs neither; `seed` is its
    own, its problems are English and Chinese in turn, and 0 gives EMBEDDED_PROBLEMS of them. A row that is no JSON or
    lacks a field is skipped and logged with file and line. Raises UserError for an unknown suite, and for files that
    are missing or hold another number of problems than were published.
    """
    if suite == "embedded":
        return _embedded(limit or EMBEDDED_PROBLEMS, seed)
    if suite not in layouts.LAYOUTS:
        raise UserError(f"unknown suite {suite!r}; expected one of: {', '.join(SUITES)}")
    if data_dir is None:
        from dsmath.suites import download

        found = download.problems(suite)
    else:
        found = _local(suite, Path(data_dir))
    return found[: limit or None]


def suite_file(suite: str, data_dir: Path | None, split: str) -> Path:
    """The JSON Lines file of a suite's split. Raises UserError if it can't be there."""
    if data_dir is None:
        raise UserError(f"{suite} is read from published files; give their folder with --data_dir")
    path = Path(data_dir) / suite / f"{split}.jsonl"
    if not path.is_file():
        raise UserError(f"no file {path}; expected the {split} set of {suite} there; choose another --data_dir")
    return path


def _local(suite: str, data_dir: Path) -> list[Problem]:
    if suite == "math500" and not (data_dir / suite).is_dir():
        return math500.select(_local("math", data_dir), str(data_dir / "math"))
    return layouts.read(suite, layouts.find(suite, data_dir / suite))


def _embedded(n: int, seed: int) -> list[Problem]:
    english = generate.generate("test", "en", (n + 1) // 2, seed)
    chinese = generate.generate("test", "zh", (n + 1) // 2, seed)
    pairs = itertools.chain.from_iterable(zip(english, chinese, strict=True))
    return [generate.to_problem(p) for p in itertools.islice(pairs, n)]
