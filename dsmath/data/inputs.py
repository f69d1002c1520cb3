"""What a preparation begins with: the files of its sources, and the benchmarks that it keeps apart from."""

import dataclasses
import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dsmath.config import Config, Data
from dsmath.data.source import Generated, Rows, Source, find_files
from dsmath.data.sources import known
from dsmath.data.stages.shards import of_file
from dsmath.error import UserError
from dsmath.records import Problem
from dsmath.suites import catalogue
from dsmath.suites.suite import Files

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Input:
    """What a source's rows are made of."""

    source: Source
    files: Files  # none of a generated source
    digests: dict[str, str]  # SHA-256, by file
    generated: Generated | None

    @property
    def pinned(self) -> dict[str, Any]:
        """What its rows depend on, as JSON values."""
        return {"files": self.digests, "generated": self.generated and dataclasses.asdict(self.generated)}

    def rows(self) -> Rows:
        """The rows. Raises UserError for a file that can't be read."""
        if self.generated is not None and self.source.generate is not None:
            return self.source.generate(self.generated)
        return self.source.rows(self.files)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """All that a preparation begins with."""

    sources: dict[str, Input]  # in the mixture's order
    benchmarks: list[Problem]  # of which no example may hold a part
    missing: dict[str, str]  # sources and suites that aren't there, with the reason


def find(settings: Config, data: Data, data_dir: Path | None, *, allow_missing: bool) -> Inputs:
    """The inputs of a mixture. Raises UserError for the first that is missing, unless that is allowed, and if no source
    is there.
    """
    missing: dict[str, str] = {}

    def found(name: str, get: Callable[[], T]) -> T | None:
        try:
            return get()
        except UserError as e:
            if not allow_missing:
                raise UserError(f"{e}; --allow_missing does without") from e
            log.warning("%s is missing: %s", name, e)
            missing[name] = str(e)
            return None

    sources: dict[str, Input] = {}
    benchmarks: list[Problem] = []
    for name in data.sources:
        if input := found(name, functools.partial(_input, known.find(name), settings, data, data_dir)):
            sources[name] = input
    for name in data.decontaminate:
        benchmarks += found(f"benchmark {name}", functools.partial(catalogue.problems, name, data_dir)) or []
    if not sources:
        raise UserError(f"all sources are missing: {'; '.join(missing.values())}")
    return Inputs(sources, benchmarks, missing)


def _input(source: Source, settings: Config, data: Data, data_dir: Path | None) -> Input:
    if source.generate is not None:
        return Input(source, {}, {}, Generated(data.embedded_problems, settings.seed))
    if data_dir is None:
        from dsmath.data import builder  # TFDS takes a second to import

        files = builder.downloaded(source)
    else:
        folder = Path(data_dir) / source.name
        local = find_files(source, folder)
        if local is None:
            wanted = " or ".join(" + ".join(str(folder / name) for name in names) for names in source.files)
            raise UserError(f"no file {wanted}; expected the published {source.name} there; choose another --data_dir")
        files = local
    return Input(source, files, {name: of_file(Path(path)) for name, path in files.items()}, None)
