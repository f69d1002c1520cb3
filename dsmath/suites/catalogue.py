"""The suites, a line for each, and their problems: from local files, from a download, or generated."""

from pathlib import Path

from dsmath.error import UserError
from dsmath.records import Problem
from dsmath.suites import asdiv, cmath, gsm8k, math, math500, mawps, mgsm_zh, svamp
from dsmath.suites.embedded import generate
from dsmath.suites.suite import Suite, find_files, read

SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        generate.SUITE,
        gsm8k.SUITE,
        math.SUITE,
        mgsm_zh.SUITE,
        cmath.SUITE,
        math500.SUITE,
        svamp.SUITE,
        asdiv.SUITE,
        mawps.SUITE,
    )
}
SOLUTIONS = frozenset(name for name, suite in SUITES.items() if suite.gold_is_solution)


def find(name: str) -> Suite:
    """The suite of that name. Raises UserError if there is none."""
    if name not in SUITES:
        raise UserError(f"no suite is named {name!r}; expected one of: {', '.join(SUITES)}")
    return SUITES[name]


def problems(name: str, data_dir: Path | None = None, *, limit: int | None = None, seed: int = 0) -> list[Problem]:
    """The first `limit` problems of a suite, or all.

    Published suites are read from DATA_DIR/SUITE; where there is no `data_dir`, they are downloaded. "embedded" needs
    neither; `seed` is its own. A row that is no JSON or lacks a field is skipped and logged with file and line. Raises
    UserError for an unknown suite, and for files that are missing or hold another number of problems than were
    published.
    """
    suite = find(name)
    if suite.layout is None:
        return generate.problems(limit, seed)
    if data_dir is None:
        from dsmath.suites import download  # TFDS takes a second to import

        found = download.problems(suite)
    else:
        found = _local(suite, Path(data_dir))
    return found[:limit]


def _local(suite: Suite, data_dir: Path) -> list[Problem]:
    folder = data_dir / suite.name
    if suite.part_of and suite.select and not folder.is_dir():
        return suite.select(_local(find(suite.part_of), data_dir), str(data_dir / suite.part_of))
    assert suite.layout is not None  # `problems` has seen to it
    return read(suite, suite.layout, find_files(suite, suite.layout, folder))
