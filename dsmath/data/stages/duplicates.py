"""The stage that finds what is there twice: the same example again, and questions that an earlier source has, too.

Questions are compared by MinHash (Broder 1997) over runs of words: two of them are near-duplicates where the estimated
share of runs in common is at least the threshold. Candidates are found by bands of the signature. An example is
compared with those of its mode alone: a chain of thought and a program for one question are two things to learn.
"""

import dataclasses
import hashlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from datasketch import MinHash

from dsmath.data.stages.ngrams import words
from dsmath.data.stages.shards import Record
from dsmath.records import Example

PERMUTATIONS = 125
BANDS = 25  # of 5 rows: pairs that share 0.7 of their runs meet in one with probability 0.99, at 0.8 with 0.99995
SHINGLE = 3  # words in a run
PARTITIONS = 64  # of bands' keys: groups that are looked through one by one
COMPARED = 4  # earlier questions that one is compared with, per band


@dataclasses.dataclass(frozen=True)
class Signatures:
    """What the examples of a shard are compared by, an entry each."""

    text: np.ndarray  # uint64 [N]: a hash of question and solution
    minhash: np.ndarray  # uint32 [N, PERMUTATIONS] of the question
    keys: np.ndarray  # uint64 [N, BANDS]


Load = Callable[[int], Signatures]


def sign(records: Iterable[Record]) -> Signatures:
    """The signatures of {"example"} records, in their order."""
    texts, modes, shingles = [], [], []
    for record in records:
        example = Example.from_json(record["example"])
        solution = "\0".join(piece.text for piece in example.solution)
        texts.append(_hash(f"{example.mode}\0{example.question}\0{solution}"))
        modes.append(example.mode)
        shingles.append(_shingles(example.question))
    hashes = [m.hashvalues for m in MinHash.generator(shingles, num_perm=PERMUTATIONS, seed=1, scheme="affine32")]
    minhash = np.array(hashes, np.uint32).reshape(-1, PERMUTATIONS)
    return Signatures(np.array(texts, np.uint64), minhash, _keys(minhash, modes))


def _shingles(question: str) -> list[bytes]:
    found = words(question)
    runs = (" ".join(found[i : i + SHINGLE]) for i in range(max(1, len(found) - SHINGLE + 1)))
    return [run.encode() for run in dict.fromkeys(runs)]


def _keys(minhash: np.ndarray, modes: Sequence[str]) -> np.ndarray:
    """A hash of each band, with its number and the mode."""
    bands = minhash.reshape(len(minhash), BANDS, PERMUTATIONS // BANDS)
    keys = [
        [_hash(f"{mode} {number} ".encode() + band.tobytes()) for number, band in enumerate(row)]
        for mode, row in zip(modes, bands, strict=True)
    ]
    return np.array(keys, np.uint64).reshape(-1, BANDS)


def _hash(value: str | bytes) -> int:
    content = value.encode("utf-8", "backslashreplace") if isinstance(value, str) else value
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def blocks(shard: int, rank: int, found: Signatures) -> Iterator[tuple[int, tuple[int, int, bytes]]]:
    """What a shard gives to each partition, by its number: its place among the shards, its source's rank, and
    (key, entry) pairs. Keys are those of the bands, and the hash of the whole text.
    """
    entries = np.arange(len(found.text), dtype=np.uint64)
    pairs = np.concatenate(
        [np.stack([found.text, entries], 1), *(np.stack([column, entries], 1) for column in found.keys.T)]
    )
    which = pairs[:, 0] % PARTITIONS
    for partition in range(PARTITIONS):
        chosen = pairs[which == partition]
        if len(chosen):
            yield partition, (shard, rank, chosen.tobytes())


def candidates(given: Iterable[tuple[int, int, bytes]]) -> np.ndarray:
    """Pairs that share a key, of all blocks of a partition: int64 [M, 4] of (shard, entry) twice, the earlier first.

    Which blocks come first makes no difference.
    """
    columns = []
    for shard, rank, content in given:
        pairs = np.frombuffer(content, np.uint64).reshape(-1, 2)
        where = np.full((len(pairs), 2), (rank, shard), np.uint64)
        columns.append(np.concatenate([pairs[:, :1], where, pairs[:, 1:]], 1))
    rows = np.concatenate(columns)
    rows = rows[np.lexsort(rows.T[::-1])]  # by key, rank, shard, entry
    starts = np.flatnonzero(np.r_[True, rows[1:, 0] != rows[:-1, 0]])
    found = [_pairs(rows[a:b, 1:]) for a, b in itertools.pairwise([*starts, len(rows)]) if b - a > 1]
    return np.unique(np.concatenate(found), axis=0) if found else np.empty((0, 4), np.int64)


def _pairs(group: np.ndarray) -> np.ndarray:
    """Each entry of a group with the first ones before it."""
    n = len(group)
    first = np.concatenate([np.arange(min(i, COMPARED)) for i in range(1, n)])
    second = np.concatenate([np.full(min(i, COMPARED), i) for i in range(1, n)])
    return np.concatenate([group[first, 1:], group[second, 1:]], 1).astype(np.int64)


def decide(pairs: np.ndarray, ranks: Sequence[int], load: Load, threshold: float | None) -> dict[tuple[int, int], int]:
    """What of `candidates` is dropped: by (shard, entry), the shard that has it already.

    `ranks` are those of the shards' sources, `load` gives their signatures. Without a threshold, no questions are.
    """
    dropped: dict[tuple[int, int], int] = {}
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    borders = np.flatnonzero(np.any(pairs[1:, [0, 2]] != pairs[:-1, [0, 2]], axis=1)) + 1
    for group in np.split(pairs, borders) if len(pairs) else ():
        first, second = int(group[0, 0]), int(group[0, 2])
        a, b = load(first), load(second)
        i, j = group[:, 1], group[:, 3]
        same = a.text[i] == b.text[j]
        if threshold is not None and ranks[first] < ranks[second]:
            same |= np.mean(a.minhash[i] == b.minhash[j], axis=1) >= threshold
        for entry in j[same]:
            dropped.setdefault((second, int(entry)), first)
    return dropped


def save_pairs(found: np.ndarray, path: Path) -> None:
    """Write candidates to a local file."""
    content = io.BytesIO()
    np.save(content, found)
    path.write_bytes(content.getvalue())  # numpy's own way of writing says nothing of a full disk


def save(found: Signatures, path: Path) -> None:
    """Write signatures to a local file."""
    with path.open("wb") as file:
        np.savez(file, **dataclasses.asdict(found))


def load(path: Path) -> Signatures:
    """What `save` wrote."""
    with np.load(io.BytesIO(path.read_bytes())) as arrays:
        return Signatures(**{name: arrays[name] for name in ("text", "minhash", "keys")})
