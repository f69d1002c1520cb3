"""The input pipeline: examples -> shuffled, tokenised, packed into rows, batched. Endless, seeded and checkpointable.

Every process makes the whole batch and hands its devices their part of it, so that batches don't depend on how many
processes there are, and one state tells them all where to go on. They don't depend on the number of workers either:
workers tokenise, chunk by chunk, and the chunks are packed here, in their order.
"""

import contextlib
import dataclasses
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

import grain
import numpy as np
from absl import flags
from grain.experimental import ThreadPrefetchDatasetIterator

from dsmath.config import Data
from dsmath.data.feed import packing
from dsmath.data.feed.packing import Packer, Read, State, Tally
from dsmath.data.feed.tokenise import Tokenise, Tokens
from dsmath.error import Preempted, UserError
from dsmath.records import Example

PREFETCH_BATCHES = 4  # made ahead in a thread, so that the device does not wait for tokenising and packing
CHUNK = 128  # examples that are tokenised together, and travel from a worker together
CHUNKS_AHEAD = 2  # that each worker has ready, in shared memory

Batch = dict[str, np.ndarray]  # by column [rows, length]
COLUMNS: dict[str, type[np.generic]] = {
    "tokens": np.int32,
    "targets": np.int32,
    "weights": np.float32,  # of a trained token's loss
    "trained": np.bool_,
    "segments": np.int32,
    "positions": np.int32,
}


class Examples(Protocol):
    """Examples in random access. Where there are workers, it can be sent to other processes."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Example: ...


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the training set, and how much of it there is in what is trained on.

    Either all parts have a weight, or none. With weights, each is repeated without end, and `weight` is its share of
    the examples, over the sum of all. Without, a pass over the training set has each of its examples `epochs` times.
    """

    name: str
    examples: Examples
    weight: float | None
    epochs: int


class Rows(Protocol):
    """The iterator of `batches`. What `get_state` returned after a batch makes `set_state` go on behind that batch; it
    is a JSON value, and the same for any number of workers. `close` ends the thread and the workers.
    """

    def __next__(self) -> Batch: ...
    def get_state(self) -> dict: ...
    def set_state(self, state: dict) -> None: ...
    def close(self) -> None: ...

    @property
    def tally(self) -> Tally:
        """What this iterator has read and packed until now, some batches ahead of those that it gave out."""


def batches(parts: Sequence[Part], tokenise: Tokenise, data: Data, *, rows: int, seed: int) -> Rows:
    """Endless batches of `rows` packed rows, as `data` says.

    Every pass has its own order. Segments count from 1 in each row, positions restart with each; padding is segment 0
    with weight 0. Raises UserError for parts that hold no example or don't go together, and an unknown packing; the
    batches do if no example fits a row.
    """
    return _Ahead(_packed(parts, tokenise, data, rows=rows, seed=seed))


def statistics(parts: Sequence[Part], tokenise: Tokenise, data: Data, *, rows: int, seed: int) -> Tally:
    """How the first `rows` rows are packed. Raises UserError as `batches` does."""
    with contextlib.closing(_packed(parts, tokenise, data, rows=1, seed=seed)) as packed:
        for _ in range(rows):
            next(packed)
        return packed.tally


class _Packed:
    """Batches of rows, made when they are asked for."""

    def __init__(self, read: Read, packer: Packer, rows: int):
        self.tally = Tally()
        self._read, self._packer, self._size = read, packer, rows
        self._state: State = {}
        self._rows = packer(read, None, self.tally)

    def __next__(self) -> Batch:
        taken = [next(self._rows) for _ in range(self._size)]
        self._state = taken[-1][1]
        return _columns(np.stack([row for row, _ in taken], axis=1))

    def get_state(self) -> State:
        return self._state

    def set_state(self, state: State) -> None:
        self.close()
        self._state = state
        self._rows = self._packer(self._read, state or None, self.tally)

    def close(self) -> None:
        self._rows.close()


class _Ahead(ThreadPrefetchDatasetIterator):
    """Batches, some of which a thread makes before they are asked for."""

    _over = False

    def __init__(self, packed: _Packed):
        super().__init__(packed, PREFETCH_BATCHES)
        self._packed = packed

    @property
    def tally(self) -> Tally:
        return self._packed.tally

    def close(self) -> None:
        if not self._over:  # Grain closes once more when it is collected, which may be after its own modules are
            self._over = True
            super().close()
            self._packed.close()


def _packed(parts: Sequence[Part], tokenise: Tokenise, data: Data, *, rows: int, seed: int) -> _Packed:
    order = _order(parts, seed)
    packer = packing.packer(
        data.packing, row_length=data.row_length, bins=data.packing_bins, seed=seed, patience=2 * _cycle(parts)
    )

    if data.workers and not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain's are looked at before it starts a process; verbs have flags of their own

    def read(first: int) -> Generator[Tokens]:
        chunks = order[first:].batch(CHUNK, batch_fn=tokenise)
        # Tokenising holds the interpreter lock: reader threads would only contend.
        made = chunks.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)).mp_prefetch(
            grain.MultiprocessingOptions(data.workers, per_worker_buffer_size=CHUNKS_AHEAD), _begin_worker
        )
        with _workers_there(), contextlib.closing(iter(made)) as iterator:
            for chunk in iterator:
                yield Tokens(*map(np.array, chunk))  # a copy: what a worker shares is given back

    return _Packed(read, packer, rows)


def _order(parts: Sequence[Part], seed: int) -> grain.MapDataset:
    """The examples in the endless order in which they are trained on.

    Grain makes integers of weights, the least of which is 100: shares are off by a hundredth of themselves at most.
    """
    _check(parts)
    sources = [grain.MapDataset.source(part.examples) for part in parts]
    if parts[0].weight is None:
        repeated = [source.repeat(part.epochs) for source, part in zip(sources, parts, strict=True) if len(source)]
        return grain.MapDataset.concatenate(repeated).seed(seed).shuffle().repeat()
    seeds = np.random.SeedSequence(seed).generate_state(len(parts))  # else parts of one length had one order
    endless = [source.shuffle(int(own)).repeat() for source, own in zip(sources, seeds, strict=True)]
    return grain.MapDataset.mix(endless, [part.weight for part in parts])


def _cycle(parts: Sequence[Part]) -> int:
    """After how many examples each was there, where weights are as exact as `_order` says."""
    if parts[0].weight is None:
        return sum(len(part.examples) * part.epochs for part in parts)
    total = 1.01 * sum(part.weight or 0 for part in parts)
    return max(math.ceil(len(part.examples) * total / part.weight) for part in parts if part.weight)


def _check(parts: Sequence[Part]) -> None:
    if not sum(len(part.examples) for part in parts):
        raise UserError("the training set has no example; expected at least one")
    weighted = [part.name for part in parts if part.weight is not None]
    if weighted and len(weighted) < len(parts):
        others = [part.name for part in parts if part.weight is None]
        raise UserError(
            f"{', '.join(weighted)} has a weight, {', '.join(others)} has none; give all parts of the training set a "
            "weight, or none"
        )
    for part in parts:
        if part.epochs < 1:
            raise UserError(f"{part.name} has epochs = {part.epochs}; expected at least 1, or leave the part out")
        if part.weight is None:
            continue
        if not (0 < part.weight < math.inf):
            raise UserError(f"{part.name} has weight = {part.weight}; expected more than 0, or leave the part out")
        if part.epochs > 1:
            raise UserError(
                f"{part.name} has a weight, and epochs = {part.epochs}; expected one of them, as its weight "
                "alone says how often its examples come"
            )
        if not len(part.examples):
            raise UserError(f"{part.name} has weight = {part.weight}, and no example; leave the part out")


@contextlib.contextmanager
def _workers_there() -> Iterator[None]:
    """A worker that was killed, by the system for its memory, say, as Preempted. Grain tells it by this text alone."""
    try:
        yield
    except RuntimeError as e:
        if "Worker process was terminated" not in str(e):
            raise
        raise Preempted(
            "a worker that tokenises was killed; the same command goes on from the last checkpoint; lower "
            "config.data.workers if it was for want of memory"
        ) from e


def _begin_worker(index: int, count: int) -> None:
    """What a worker does first. It ends with the process that it works for, however that ends, and by no signal that
    was meant for that one.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _columns(rows: np.ndarray) -> Batch:
    """Rows [5, rows, length] as a batch."""
    tokens, targets, trained, segments, positions = rows
    return {
        "tokens": tokens,
        "targets": targets,
        "weights": trained.astype(np.float32),
        "trained": trained.astype(bool),
        "segments": segments,
        "positions": positions,
    }
