"""What a preparation says of itself: the manifest, and a report to read, with samples of what was left out."""

import collections
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dsmath.config import Config, Data
from dsmath.data import mixture
from dsmath.data.inputs import Inputs
from dsmath.data.stages.shards import Shard, counted, digest, of_file
from dsmath.data.stages.write import Account

VERSION = 2  # 1 was a TFDS data set per source
COUNTED = ("read", "verified", "kept", "no_gold")


@dataclasses.dataclass(frozen=True)
class Made:
    """What the stages left, by shard."""

    shards: Sequence[Shard]
    files: Sequence[Path]
    accounts: Sequence[Account]

    def account(self, source: str) -> Account:
        """What became of a source."""
        total = Account()
        for shard, account in zip(self.shards, self.accounts, strict=True):
            if shard.source == source:
                total.add(account)
        return total


def manifest(settings: Config, data: Data, found: Inputs, made: Made, out: Path, *, tokens: bool) -> dict[str, Any]:
    """The manifest, as JSON values. `tokens` says whether they were counted."""
    sources = {name: _source(name, data, found, made, out, tokens=tokens) for name in found.sources}
    sha256 = {str(path.relative_to(out)): of_file(path) for path in made.files}
    kept = sum(mode["kept"] for source in sources.values() for mode in source["modes"].values())
    suites = collections.Counter(problem.suite for problem in found.benchmarks)
    return {
        "version": VERSION,
        "hash": digest([[Path(file).name, sha] for file, sha in sha256.items()], mixture.settings(settings)),
        "settings": mixture.settings(settings),
        "examples": kept,
        "paper": data.paper,
        "gap": None if data.paper is None else data.paper - kept,
        "sources": sources,
        "missing": found.missing,
        "decontaminated": {"suites": dict(suites), "rule": "10-gram; exact for texts of 3 to 9 words"},
        "near_duplicates": data.near_duplicates,
        "sha256": sha256,
    }


def dump(manifest: dict[str, Any]) -> str:
    """The manifest as text."""
    return json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"


def _source(name: str, data: Data, found: Inputs, made: Made, out: Path, *, tokens: bool) -> dict[str, Any]:
    source, account, part = found.sources[name].source, made.account(name), mixture.part(data, name)
    modes = {mode: _mode(account, mode, tokens=tokens) for mode in mixture.modes(data, name)}
    kept = sum(mode["kept"] for mode in modes.values())
    return {
        "title": source.title,
        "license": source.license,
        "citation": source.citation,
        "stands_for": part.stands_for,
        "inputs": found.sources[name].digests,
        "rows": {"read": account.rows, "skipped": counted(account.skipped)},
        "modes": modes,
        "langs": counted(account.kept_by["lang"]),
        "topics": counted({topic: n for topic, n in account.kept_by["topic"].items() if topic}),
        "paper": part.paper,
        "gap": None if part.paper is None else part.paper - kept,
        "files": [
            str(path.relative_to(out))
            for shard, path, part in zip(made.shards, made.files, made.accounts, strict=True)
            if shard.source == name and any(mode["kept"] for mode in part.modes.values())
        ],
    }


def _mode(account: Account, mode: str, *, tokens: bool) -> dict[str, Any]:
    counts = account.modes.get(mode, collections.Counter())
    dropped = counted(account.dropped.get(mode, {}))
    return {name: counts[name] for name in COUNTED} | {
        "dropped": dropped,
        "tokens": counts["tokens"] if tokens else None,
    }


def report(manifest: dict[str, Any], made: Made) -> str:
    """Markdown: what was read, kept and dropped of each source, with samples."""
    return "\n".join(_report(manifest, made)) + "\n"


def _report(manifest: dict[str, Any], made: Made) -> Iterator[str]:
    yield f"# Training set {manifest['hash']}\n\n{manifest['examples']:,} examples.\n"
    if manifest["paper"] is not None:
        yield f"The paper's mixture has {manifest['paper']:,}: {manifest['gap']:,} more.\n"
    for name, reason in manifest["missing"].items():
        yield f"- {name} is missing: {reason}"
    yield "\n| Source | Mode | Read | Verified | Kept | Tokens | Licence | Stands for |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, source in manifest["sources"].items():
        for mode, counts in source["modes"].items():
            cells = [f"{counts[c]:,}" for c in ("read", "verified", "kept")]
            tokens = "not counted" if counts["tokens"] is None else f"{counts['tokens']:,}"
            yield f"| {name} | {mode} | {' | '.join(cells)} | {tokens} | {source['license']} | {source['stands_for']} |"
    for name in manifest["sources"]:
        account = made.account(name)
        dropped = collections.Counter(account.skipped)
        for counts in account.dropped.values():
            dropped.update(counts)
        if dropped:
            yield f"\n## {name}: what was dropped\n"
        for reason, n in counted(dropped).items():
            yield f"- {n:,}: {reason}"
            yield from (f"  - {_line(sample)}" for sample in account.samples.get(reason, ()))


def _line(sample: dict[str, Any]) -> str:
    match = f" (shares with {sample['match']})" if sample.get("match") else ""
    return f"`{sample['row']}` {' '.join(sample.get('question', '').split())}{match}"
