"""Preparing a training set: rows of all sources -> verified -> decontaminated -> without duplicates -> written.

The stages are dsmath/data/stages, run as pipelines by dsmath/data/beam; this is what connects them. Killed, the same
preparation goes on with the shards that it has not finished.
"""

import contextlib
import dataclasses
import functools
import hashlib
import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dsmath import journal, runs, storage
from dsmath.config import Config, Data, need
from dsmath.data import inputs, mixture, prepared, watch
from dsmath.data import manifest as manifests
from dsmath.data.beam import pipelines
from dsmath.data.beam.pipelines import Runner, Stages, Written
from dsmath.data.inputs import Inputs
from dsmath.data.stages import duplicates, raw, write
from dsmath.data.stages.shards import Files, Shard, digest, of_file
from dsmath.error import UserError

log = logging.getLogger(__name__)

LOADED = 256  # shards whose signatures are in memory at a time, at 1.4 MB
AGAIN = "the same example again"
NOT_DRAWN = "beyond the count that is asked for"


def prepare(
    settings: Config,
    out: Path,
    data_dir: Path | None,
    *,
    runner: Runner = Runner(),  # noqa: B008  frozen
    allow_missing: bool = False,
    open_count: Callable[[], write.Count] | None = None,
) -> dict[str, Any]:
    """Write the training set that `config.data` asks for into `out`, and return its manifest.

    A finished one of the same settings and inputs is used again; one that was killed goes on. `open_count` gives what
    counts tokens, if anything does. Raises UserError for a finished one of other settings or inputs, an unknown source
    or mode, missing files (unless `allow_missing`), and a folder that can't be written.
    """
    data = mixture.checked(settings)
    out = storage.path(out)
    if (out / prepared.MANIFEST).exists():
        return _reuse(out, settings, data_dir)
    found = inputs.find(settings, data, data_dir, allow_missing=allow_missing)
    with journal.lock(out / "lock"):
        made = _make(settings, data, found, out, runner, open_count)
        manifest = manifests.manifest(settings, data, found, made, out, tokens=open_count is not None)
        journal.write(out / prepared.REPORT, [manifests.report(manifest, made)])
        journal.write(out / prepared.MANIFEST, [manifests.dump(manifest)])
        with contextlib.suppress(FileNotFoundError):
            storage.remove_folder(out / prepared.STAGES)
    log.info("wrote %d examples to %s", manifest["examples"], out)
    return prepared.read_manifest(out)


def _make(
    settings: Config,
    data: Data,
    found: Inputs,
    out: Path,
    runner: Runner,
    open_count: Callable[[], write.Count] | None,
) -> manifests.Made:
    work = out / prepared.STAGES
    stages = stages_of(settings, data, found, work, runner)
    shards = [s for name, i in found.sources.items() for s in raw.write(i.source, i.rows(), stages.raw[name])]
    journal.write(stages.benchmarks, [journal.line({"id": p.id, "question": p.question}) for p in found.benchmarks])
    key = digest(mixture.settings(settings), [files.folder.name for files in stages.signatures.values()])
    made = {"verified": stages.verified, "contaminated": stages.contaminated, "signatures": stages.signatures}
    with watch.bars({stage: [files[s.source].path(s) for s in shards] for stage, files in made.items()}):
        pipelines.find(stages, shards, work / f"candidates-{key}", runner)
    fates, reasons = _fates(settings, data, stages, shards, work / f"candidates-{key}")
    asked = [
        Written(
            shard=shard,
            fates=fate,
            reasons=reasons,
            path=out / f"examples-{key}" / f"{shard.name}.array_record",
            dropped=out / f"dropped-{key}" / f"{shard.name}.jsonl",
            account=work / f"accounts-{key}" / f"{shard.name}.json",
        )
        for shard, fate in zip(shards, fates, strict=True)
    ]
    with watch.bars({"written": [a.account for a in asked]}):
        pipelines.put(stages, asked, open_count, runner)
    return manifests.Made(shards, [a.path for a in asked], [write.read(a.account) for a in asked])


def stages_of(settings: Config, data: Data, found: Inputs, work: Path, runner: Runner) -> Stages:
    """Where the stages of a preparation keep what they make, in WORK."""
    limits = need(settings.sandbox, "sandbox")
    kept = digest([[p.id, p.question] for p in found.benchmarks])
    pinned = {name: getattr(limits, name) for name in ("timeout_s", "memory_mb", "output_kb")}
    folders: dict[str, dict[str, Files]] = {"raw": {}, "verified": {}, "contaminated": {}, "signatures": {}}
    for name, given in found.sources.items():
        rows = digest(name, given.pinned, _code())
        verified = digest(rows, mixture.modes(data, name), pinned)
        contaminated = digest(verified, kept)
        for stage, key in zip(folders, (rows, verified, contaminated, contaminated), strict=True):
            suffix = ".npz" if stage == "signatures" else ".jsonl"
            folders[stage][name] = Files(work / f"{stage}-{key}", suffix)
    return Stages(
        **folders,
        modes={name: mixture.modes(data, name) for name in found.sources},
        ranks={name: rank for rank, name in enumerate(found.sources)},
        limits=dataclasses.replace(limits, workers=max(1, limits.workers // runner.workers)),
        benchmarks=work / f"benchmarks-{kept}.jsonl",
    )


def _fates(
    settings: Config, data: Data, stages: Stages, shards: Sequence[Shard], candidates: Path
) -> tuple[list[bytes], tuple[str, ...]]:
    """What becomes of each shard's clean examples: an index into reasons, by shard; and the reasons."""

    @functools.lru_cache(LOADED)
    def load(number: int) -> duplicates.Signatures:
        shard = shards[number]
        return duplicates.load(stages.signatures[shard.source].path(shard))

    reasons = ("", AGAIN, NOT_DRAWN, *(f"asked by {name}, too" for name in stages.ranks))
    fates = [np.zeros(len(load(n).text), np.uint8) for n in range(len(shards))]
    ranks = [stages.ranks[shard.source] for shard in shards]
    pairs = [np.load(io.BytesIO(path.read_bytes())) for path in sorted(candidates.glob("*.npy"))]
    if pairs:
        again = duplicates.decide(np.unique(np.concatenate(pairs), axis=0), ranks, load, data.near_duplicates)
        for (n, entry), first in again.items():
            fates[n][entry] = 1 if ranks[first] == ranks[n] else 3 + ranks[first]
    for name, rank in stages.ranks.items():
        own = [n for n in range(len(shards)) if ranks[n] == rank]
        if (count := mixture.part(data, name).count) is not None and own:
            together = np.concatenate([fates[n] for n in own])
            _draw(together, count, seed=settings.seed)
            ends = np.cumsum([len(fates[n]) for n in own])[:-1]
            for n, drawn in zip(own, np.split(together, ends), strict=True):
                fates[n] = drawn
    return [fate.tobytes() for fate in fates], reasons


def _draw(fates: np.ndarray, count: int, *, seed: int) -> None:
    """Leave `count` of those that stay."""
    stays = np.flatnonzero(fates == 0)
    fates[np.random.default_rng(seed).permutation(stays)[count:]] = 2


def _reuse(out: Path, settings: Config, data_dir: Path | None) -> dict[str, Any]:
    manifest = prepared.read_manifest(out)
    runs.require_same(out, manifest["settings"], mixture.settings(settings))
    for name, source in manifest["sources"].items():
        for file, known in source["inputs"].items():
            path = Path(data_dir or "") / name / file
            if data_dir is not None and path.is_file() and of_file(path) != known:
                way_out = f"delete {out} and run `dsmath prepare` again, or choose another --workdir"
                raise UserError(f"{path} is not the file that {out} was made of; {way_out}")
    prepared.check(out, manifest)
    log.info("%s is already prepared: %d examples", out, manifest["examples"])
    return manifest


@functools.cache
def _code() -> str:
    """A digest of the code that makes examples: what another version of it made is not gone on with."""
    package = Path(__file__).parent.parent
    rooms = ("answers", "data", "records.py", "rollout", "score", "suites", "text")
    files = sorted(
        path
        for room in rooms
        for path in ([package / room] if room.endswith(".py") else (package / room).rglob("*.py"))
    )
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
