"""The two pipelines of a preparation, on any runner of Beam (extra `data`).

    shards of rows -> verified -> contaminated -> signatures -> candidates of duplicates, by partition
    shards of what stays -> ArrayRecord files and their counts

Every stage writes a file per shard and leaves one that is there. Elements are shards, not examples: all that Beam
shuffles are the signatures' keys, in blocks, and what comes out is the same bytes in whichever order it runs.
"""

import contextlib
import dataclasses
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from dsmath import config, journal, storage
from dsmath.data.sources import known
from dsmath.data.stages import decontaminate, duplicates, verify, write
from dsmath.data.stages.shards import Files, Record, Shard
from dsmath.error import UserError
from dsmath.sandbox.client import Sandbox

_WHERE = re.compile(r" \[while running '[^']*'\]$")
_USERS = re.compile(r"^dsmath\.error\.UserError: (.*?)(?: \[while running '.*)?$", re.MULTILINE)
EMBEDDED = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


@dataclasses.dataclass(frozen=True)
class Runner:
    """Where pipelines run."""

    name: str | None = None  # of Beam; None for this machine
    options: tuple[str, ...] = ()  # of that runner, as Beam has them
    workers: int = 1  # processes on this machine

    @contextlib.contextmanager
    def pipeline(self) -> Iterator[beam.Pipeline]:
        """A new pipeline, which runs when the `with` ends. Raises UserError if one ended it, in whichever process."""
        local = []
        if self.name is None and self.workers > 1:
            local = [f"--direct_num_workers={self.workers}", "--direct_running_mode=multi_processing"]
        options = PipelineOptions([*local, *self.options], default_sdk_harness_log_level="CRITICAL")
        try:
            new = beam.Pipeline(self.name or EMBEDDED, options=options)
        except ValueError as e:  # of Beam: an unknown runner, or options that it lacks
            raise UserError(f"--runner {self.name} {' '.join(self.options)}: {' '.join(str(e).split())}") from e
        try:
            with _quiet(), new as pipeline:
                yield pipeline
        except UserError as e:  # Beam adds which step it was
            raise UserError(_WHERE.sub("", str(e))) from e
        except RuntimeError as e:  # what a worker raised comes back as text, with its traceback
            if users := _USERS.findall(str(e)):
                raise UserError(users[-1]) from e
            raise


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Beam logs with a traceback what it raises; here it is raised alone."""
    logger = logging.getLogger("apache_beam.runners.common")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@dataclasses.dataclass(frozen=True)
class Stages:
    """Where each stage keeps its shards, and what it needs. Picklable."""

    raw: dict[str, Files]  # by source, as all that follow
    verified: dict[str, Files]
    contaminated: dict[str, Files]
    signatures: dict[str, Files]
    modes: dict[str, tuple[str, ...]]
    ranks: dict[str, int]  # what a source of a lower one has, the others don't give
    limits: config.Sandbox  # of programs; its workers are a worker's of Beam
    benchmarks: Path  # {"id", "question"} of each problem to keep apart from

    def clean(self, shard: Shard) -> Iterator[Record]:
        """The verified examples of a shard that hold no part of a benchmark."""
        dropped = {record["id"] for record in self.contaminated[shard.source].read(shard)}
        verified = self.verified[shard.source].read(shard)
        return (record for record in verified if "example" in record and record["id"] not in dropped)


@dataclasses.dataclass(frozen=True)
class Written:
    """What is to become of a shard's clean examples."""

    shard: Shard
    fates: bytes  # an index into `reasons` of each, uint8
    reasons: tuple[str, ...]  # why an example is dropped; the first one, "", is for those that stay
    path: Path  # of those that stay
    dropped: Path  # of the others
    account: Path


def find(stages: Stages, shards: Sequence[Shard], candidates: Path, runner: Runner) -> None:
    """Take shards of rows through the stages; `candidates` is the folder for duplicates' candidates, by partition."""
    with runner.pipeline() as p:
        _ = (
            p
            | "shards" >> beam.Create(list(enumerate(shards)))
            | "spread" >> beam.Reshuffle()
            | "verify" >> beam.ParDo(_Verify(stages))
            | "decontaminate" >> beam.ParDo(_Decontaminate(stages))
            | "sign" >> beam.ParDo(_Sign(stages))
            | "by key" >> beam.GroupByKey()
            | "candidates" >> beam.MapTuple(_Candidates(candidates))
        )


def put(stages: Stages, asked: Sequence[Written], open_count: Callable[[], write.Count] | None, runner: Runner) -> None:
    """Write the shards of the training set, but for those that are there. A worker counts tokens by what it opens."""
    missing = [written for written in asked if not written.account.exists()]
    with runner.pipeline() as p:
        _ = p | "asked" >> beam.Create(missing) | beam.Reshuffle() | "write" >> beam.ParDo(_Write(stages, open_count))


class _Verify(beam.DoFn):
    """Rows to examples, with a sandbox that lives as long as the worker."""

    def __init__(self, stages: Stages):
        self._stages = stages
        self._sandbox: Sandbox | None = None

    def process(self, numbered: tuple[int, Shard]) -> Iterator[tuple[int, Shard]]:
        """Hands the shard on."""
        _, shard = numbered
        files, stages = self._stages.verified[shard.source], self._stages
        if not files.has(shard):
            if self._sandbox is None:
                self._sandbox = Sandbox(stages.limits)
            rows, modes = stages.raw[shard.source].read(shard), stages.modes[shard.source]
            files.write(shard, verify.examples(known.find(shard.source), rows, modes, self._sandbox))
        yield numbered

    def teardown(self) -> None:
        """Ends the sandbox."""
        if self._sandbox is not None:
            self._sandbox.close()


class _Decontaminate(beam.DoFn):
    """Which examples hold a part of a benchmark."""

    def __init__(self, stages: Stages):
        self._stages = stages

    def setup(self) -> None:
        """Reads the benchmarks."""
        self._index = decontaminate.index(journal.read(self._stages.benchmarks))

    def process(self, numbered: tuple[int, Shard]) -> Iterator[tuple[int, Shard]]:
        """Hands the shard on."""
        _, shard = numbered
        files = self._stages.contaminated[shard.source]
        if not files.has(shard):
            examples = self._stages.verified[shard.source].read(shard)
            files.write(shard, decontaminate.contaminated(examples, self._index))
        yield numbered


class _Sign(beam.DoFn):
    """The signatures of clean examples, in blocks for each partition of their keys."""

    def __init__(self, stages: Stages):
        self._stages = stages

    def process(self, numbered: tuple[int, Shard]) -> Iterator[tuple[int, tuple[int, int, bytes]]]:
        """(partition, block)."""
        number, shard = numbered
        files = self._stages.signatures[shard.source]
        if not files.has(shard):
            with storage.whole_file(files.path(shard)) as local:
                duplicates.save(duplicates.sign(self._stages.clean(shard)), local)
        yield from duplicates.blocks(number, self._stages.ranks[shard.source], duplicates.load(files.path(shard)))


@dataclasses.dataclass(frozen=True)
class _Candidates:
    """Candidates of a partition, written to a folder."""

    folder: Path

    def __call__(self, partition: int, blocks: Iterable[tuple[int, int, bytes]]) -> None:
        with storage.whole_file(self.folder / f"{partition:03}.npy") as local:
            duplicates.save_pairs(duplicates.candidates(blocks), local)


class _Write(beam.DoFn):
    """A shard of the training set, what was dropped of it, and its account."""

    def __init__(self, stages: Stages, open_count: Callable[[], write.Count] | None):
        self._stages, self._open_count = stages, open_count

    def setup(self) -> None:
        """Opens what counts tokens."""
        self._count = self._open_count() if self._open_count is not None else None

    def process(self, asked: Written) -> None:
        """Writes them, the account last."""
        source, account = asked.shard.source, write.Account()
        account.raw(self._stages.raw[source].read(asked.shard))
        verified = self._stages.verified[source].read(asked.shard)
        contaminated = {record["id"]: record for record in self._stages.contaminated[source].read(asked.shard)}
        fates = (asked.reasons[fate] for fate in asked.fates)
        write.write(account.examples(verified, contaminated, fates, self._count), asked.path)
        if account.lost:
            journal.write(asked.dropped, map(journal.line, account.lost))
        journal.write(asked.account, [json.dumps(account.to_json(), ensure_ascii=False, sort_keys=True)])
