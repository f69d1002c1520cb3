"""From examples to tokens: ids, what each is to predict, and which of these predictions are trained.

Targets are made per example, before examples meet in a row, so that no example's last token is asked to predict the
next one's first.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dsmath.records import Example, Source
from dsmath.text.codec import TokenCodec
from dsmath.text.template import Template
from dsmath.text.tokenizer import Tokenizer

COLUMNS = ("token", "target", "trained")


class Tokens(NamedTuple):
    """Examples, one behind the other: COLUMNS as int32 [3, N], and how many of the N are each example's.

    Arrays, so that they travel between processes in shared memory.
    """

    columns: np.ndarray
    lengths: np.ndarray


class Tokenise:
    """Examples as Tokens. It can be sent to other processes."""

    def __init__(self, tokenizer: Tokenizer, template: Template, *, loss_on_tool_output: bool):
        self._codec = TokenCodec(tokenizer)
        self._template = template
        self._trained = {Source.MODEL, *((Source.TOOL, Source.FRAME) if loss_on_tool_output else ())}

    def __call__(self, examples: Sequence[Example]) -> Tokens:
        pieces = [self._codec.example(example, self._template) for example in examples]
        sizes = [[len(piece.ids or ()) for piece in example] for example in pieces]
        flat = list(itertools.chain.from_iterable(pieces))
        ids = np.fromiter(itertools.chain.from_iterable(piece.ids or () for piece in flat), np.int32)
        trained = np.repeat([piece.source in self._trained for piece in flat], list(itertools.chain(*sizes)))
        ends = np.cumsum([sum(of_pieces) for of_pieces in sizes])
        last, first = np.zeros((2, len(ids)), bool)
        last[ends - 1] = first[0] = first[ends[:-1]] = True
        columns = np.stack([ids[~last], ids[~first], trained[~first]])
        return Tokens(columns, np.diff(ends, prepend=0) - 1)
