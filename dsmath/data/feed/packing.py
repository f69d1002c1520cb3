"""Packing: from tokenised examples to rows of one length. Endless, and it can go on from any row.

A packer is a generator. It is given `read`, which gives the examples of an endless order from any number on, and a
state to begin with; it yields a row and the state behind it, which is a JSON value.

Grain has both packers, too (`FirstFitPackIterDataset`, `ConcatThenSplitIterDataset`); tests hold these to them, row by
row. But their state holds that of the iterators below, which with worker processes is another one for each number of
them; ours is a place in the order of examples. And these cost 2 to 8 us an example, Grain's 12 to 31.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Generator
from typing import Any, Protocol

import numpy as np

from dsmath.data.feed.tokenise import Tokens
from dsmath.error import UserError

WHOLE, CUT = "whole", "cut"
PACKINGS = (WHOLE, CUT)

Row = np.ndarray  # int32 [5, row_length]: tokenise.COLUMNS, segments from 1 on, positions in them; padding is 0
State = dict[str, Any]
Read = Callable[[int], Generator[Tokens]]


@dataclasses.dataclass
class Tally:
    """What became of the examples that a packer has read."""

    examples: int = 0
    rows: int = 0
    slots: int = 0  # of these rows
    tokens: int = 0  # in them
    dropped_examples: int = 0  # longer than a row
    dropped_tokens: int = 0
    cut_examples: int = 0  # into two rows or more

    @property
    def fill(self) -> float:
        """The share of slots that are not padding."""
        return self.tokens / self.slots if self.slots else 0.0


class Packer(Protocol):
    """Rows from a state on; None begins at the beginning."""

    def __call__(self, read: Read, state: State | None, tally: Tally, /) -> Generator[tuple[Row, State]]: ...


@dataclasses.dataclass(frozen=True)
class Whole:
    """First fit: examples stay whole, and go into the first of `bins` open rows that has room.

    Once an example fits none, all of these are given out, in a random order. Examples longer than a row are dropped;
    raises UserError when `patience` of them come in a row.
    """

    row_length: int
    bins: int
    seed: int
    patience: int

    def __call__(self, read: Read, state: State | None, tally: Tally) -> Generator[tuple[Row, State]]:
        state = state or {"example": 0, "rows": 0, "given": 0}
        if "parent" in state:
            state = _of_grain(state)
        first, rows, given = state["example"], state["rows"], state["given"]  # of the open rows; rows were before them
        open_rows, free = _opened(self.bins, self.row_length)
        in_vain = 0
        with contextlib.closing(_each(read, first)) as examples:
            for number, example in enumerate(examples, first):
                tally.examples += 1
                length = example.shape[1]
                if length > self.row_length:
                    tally.dropped_examples += 1
                    tally.dropped_tokens += length
                    in_vain += 1
                    if in_vain >= self.patience:
                        raise UserError(
                            f"no training example fits config.data.row_length = {self.row_length}; choose a larger one"
                        )
                    continue
                in_vain = 0
                bin = int(np.argmax(free >= length))
                if free[bin] < length:
                    order = np.random.default_rng(self.seed + rows).permuted(np.arange(self.bins))
                    for taken in range(given, self.bins):
                        behind = {"example": first, "rows": rows, "given": taken + 1}
                        if taken + 1 == self.bins:
                            behind = {"example": number, "rows": rows + self.bins, "given": 0}
                        yield _row(open_rows[order[taken]], self.row_length, tally), behind
                    first, rows, given = number, rows + self.bins, 0
                    open_rows, free = _opened(self.bins, self.row_length)
                    bin = 0
                open_rows[bin].append(example)
                free[bin] -= length


@dataclasses.dataclass(frozen=True)
class Cut:
    """Examples one behind the other, cut where a row ends; what is left begins the next one.

    That is a segment of its own, whose positions begin at 0: it can't see what the row before holds.
    """

    row_length: int

    def __call__(self, read: Read, state: State | None, tally: Tally) -> Generator[tuple[Row, State]]:
        state = state or {"example": 0, "offset": 0}  # the next token
        first, offset = state["example"], state["offset"]
        pieces: list[np.ndarray] = []
        room = self.row_length
        with contextlib.closing(_each(read, first)) as examples:
            for number, example in enumerate(examples, first):
                tally.examples += 1
                length = example.shape[1]
                tally.cut_examples += length - offset > room
                while offset < length:
                    pieces.append(example[:, offset : offset + room])
                    room -= pieces[-1].shape[1]
                    offset += pieces[-1].shape[1]
                    if not room:
                        whole = offset == length
                        behind = {"example": number + whole, "offset": 0 if whole else offset}
                        yield _row(pieces, self.row_length, tally), behind
                        pieces, room = [], self.row_length
                offset = 0


def packer(packing: str, *, row_length: int, bins: int, seed: int, patience: int) -> Packer:
    """The packer of this name. Raises UserError if there is none."""
    if packing == WHOLE:
        return Whole(row_length, bins, seed, patience)
    if packing == CUT:
        return Cut(row_length)
    raise UserError(f"config.data.packing is {packing!r}; expected one of: {', '.join(PACKINGS)}")


def _of_grain(state: State) -> State:
    """The state of Grain's first-fit packer, which packed here at first, as ours."""
    given = state["next_row"]
    return {"example": state["parent"]["next_index"], "rows": state["counter"] - given, "given": given}


def _opened(bins: int, row_length: int) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """Empty rows: what is in them, and how much more can be."""
    return [[] for _ in range(bins)], np.full(bins, row_length)


def _each(read: Read, first: int) -> Generator[np.ndarray]:
    """The columns [3, T] of one example after the other. To be closed, so that `read`'s end is."""
    with contextlib.closing(read(first)) as chunks:
        for chunk in chunks:
            end = 0
            for length in chunk.lengths.tolist():
                yield chunk.columns[:, end : end + length]
                end += length


def _row(segments: list[np.ndarray], row_length: int, tally: Tally) -> Row:
    lengths = [segment.shape[1] for segment in segments]
    ends = np.cumsum(lengths)
    used = int(ends[-1])
    row = np.zeros((5, row_length), np.int32)
    np.concatenate(segments, axis=1, out=row[:3, :used])
    row[3, :used] = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    row[4, :used] = np.arange(used) - np.repeat(ends - lengths, lengths)
    tally.rows += 1
    tally.slots += row_length
    tally.tokens += used
    return row
