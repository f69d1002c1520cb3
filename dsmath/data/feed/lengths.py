"""What a training set comes to in tokens: lengths, by mode and language, and how its rows are filled either way."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dsmath.config import Data
from dsmath.data.feed import packing, pipeline
from dsmath.data.feed.pipeline import Part
from dsmath.data.feed.tokenise import Tokenise
from dsmath.records import Example

CHUNK = 128  # examples that are tokenised together
PERCENTILES = (5, 50, 95, 99, 100)


def statistics(parts: Sequence[Part], tokenise: Tokenise, data: Data, *, seed: int) -> dict[str, Any]:
    """Lengths in tokens by language and mode, and what packing makes of as many rows as they fill, as JSON values.

    `groups.<lang>-<mode>` has `examples`, `tokens`, `trained` and percentiles of lengths, `packing.<name>` the share of
    slots that are filled, and the examples and tokens that are dropped or cut.
    """
    lengths: dict[str, list[int]] = {}
    trained: dict[str, int] = {}
    for chunk in _chunks(parts):
        tokens = tokenise(chunk)
        starts = np.cumsum(tokens.lengths) - tokens.lengths
        sums = np.add.reduceat(tokens.columns[2], starts)
        for example, length, own in zip(chunk, tokens.lengths.tolist(), sums.tolist(), strict=True):
            group = f"{example.lang}-{example.mode}"
            lengths.setdefault(group, []).append(length)
            trained[group] = trained.get(group, 0) + own
    total = sum(map(sum, lengths.values()))
    rows = max(1, total // data.row_length)
    return {
        "groups": {
            group: {
                "examples": len(found),
                "tokens": sum(found),
                "trained": trained[group],
                "lengths": {str(p): int(np.percentile(found, p)) for p in PERCENTILES},
            }
            for group, found in sorted(lengths.items())
        },
        "packing": {
            name: _packed(parts, tokenise, dataclasses.replace(data, packing=name, workers=0), rows=rows, seed=seed)
            for name in packing.PACKINGS
        },
    }


def _chunks(parts: Sequence[Part]) -> Iterator[list[Example]]:
    examples = (part.examples[i] for part in parts for i in range(len(part.examples)))
    while chunk := list(itertools.islice(examples, CHUNK)):
        yield chunk


def _packed(parts: Sequence[Part], tokenise: Tokenise, data: Data, *, rows: int, seed: int) -> dict[str, Any]:
    tally = pipeline.statistics(parts, tokenise, data, rows=rows, seed=seed)
    return dataclasses.asdict(tally) | {"fill": round(tally.fill, 4)}
