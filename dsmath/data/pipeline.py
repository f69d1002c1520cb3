"""The input pipeline: examples -> shuffled, tokenised, packed into rows, batched. Endless, seeded and checkpointable.

Every process makes the whole batch and hands its devices their part of it, so that batches don't depend on how many
processes there are, and one state tells them all where to go on. A core makes half a million tokens a second: the 7B's
step of a million is made in two seconds, while the one before it runs.

Targets are made per example, before examples meet in a row, so that no example's last token is asked to predict the
next one's first.
"""

import logging
from typing import Protocol

import grain
import numpy as np
from grain.experimental import FirstFitPackIterDataset, ThreadPrefetchIterDataset

from dsmath.error import UserError
from dsmath.records import Example, Source
from dsmath.text.codec import TokenCodec
from dsmath.text.template import Template
from dsmath.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

PREFETCH_BATCHES = 4  # made ahead in a thread, so that the device does not wait for tokenising and packing

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
    """A training set in random access."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Example: ...


class Rows(Protocol):
    """The iterator of `batches`. What `get_state` returned after a batch makes `set_state` go on behind that batch; it
    is a JSON value. `close` ends the thread that works ahead.
    """

    def __next__(self) -> Batch: ...
    def get_state(self) -> dict: ...
    def set_state(self, state: dict) -> None: ...
    def close(self) -> None: ...


class Tokenise:
    """An Example as an int32 array [T, 3] of (token, target, trained), or None if it is longer than `row_length`.

    `dropped` holds the ids of those that were too long, among the examples seen so far.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: Template,
        *,
        row_length: int,
        loss_on_tool_output: bool,
    ):
        self._codec = TokenCodec(tokenizer)
        self._template = template
        self._row_length = row_length
        tool = (Source.TOOL, Source.FRAME) if loss_on_tool_output else ()
        self._trained = (Source.MODEL, *tool)
        self.dropped: set[str] = set()

    def __call__(self, example: Example) -> np.ndarray | None:
        pieces = self._codec.example(example, self._template)
        ids = [id for piece in pieces for id in piece.ids or ()]
        if len(ids) - 1 > self._row_length:
            self.dropped.add(example.id)
            return None
        trained = [piece.source in self._trained for piece in pieces for _ in piece.ids or ()]
        return np.stack([ids[:-1], ids[1:], trained[1:]], axis=1).astype(np.int32)


def batches(
    source: Examples,
    tokenise: Tokenise,
    *,
    rows: int,
    row_length: int,
    packing_bins: int,
    seed: int,
) -> Rows:
    """Endless batches of `rows` packed rows.

    Every epoch has its own order. Segments count from 1 in each row, positions restart with each; padding is segment 0
    with weight 0. Raises UserError if there is no example, or none that fits a row.
    """
    if not len(source):
        raise UserError("the training set has no example; expected at least one")
    guard = _Guard(tokenise, len(source), row_length)
    dataset = grain.MapDataset.source(source).seed(seed).shuffle().repeat().map(guard)
    # Tokenising holds the interpreter lock in parts: reader threads would only contend.
    packed = FirstFitPackIterDataset(
        dataset.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)),
        length_struct={"row": row_length},
        num_packing_bins=packing_bins,
        seed=seed,
    )
    batched = packed.batch(rows).map(_columns)
    return iter(ThreadPrefetchIterDataset(batched, prefetch_buffer_size=PREFETCH_BATCHES))


class _Guard:
    """Tokenise for the packer, which skips None; raises where a whole epoch would be skipped."""

    def __init__(self, tokenise: Tokenise, examples: int, row_length: int):
        self._tokenise, self._examples, self._row_length = tokenise, examples, row_length

    def __call__(self, example: Example) -> dict[str, np.ndarray] | None:
        row = self._tokenise(example)
        if len(self._tokenise.dropped) >= self._examples:
            raise UserError(
                f"no training example fits config.data.row_length = {self._row_length}; choose a larger one"
            )
        return None if row is None else {"row": row}


def _columns(batch: dict[str, np.ndarray]) -> Batch:
    tokens, targets, trained = np.moveaxis(batch["row"], -1, 0)
    return {
        "tokens": tokens,
        "targets": targets,
        "weights": trained.astype(np.float32),
        "trained": trained.astype(bool),
        "segments": batch["row_segment_ids"],
        "positions": batch["row_positions"],
    }
