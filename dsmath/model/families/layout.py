"""Where our weights lie in the tensors of files, said once for reading and for writing.

A tensor of a file consists of rows of our weights, one stretch behind another: a fused matrix holds several weights, a
grouped one the heads of each key/value head together. Some layouts have the rotary pairs of a head next to each other,
(0, 1), (2, 3), ...; ours are half-split, (i, i + dims/2).
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from dsmath.config import Arch
from dsmath.model import decoder, stacking
from dsmath.model.stacking import Place, Slices, Tensor


class Rows(NamedTuple):
    """A stretch of rows of a file's tensor, which are rows of one of our weights with its heads merged."""

    of: str  # the weight: "q", or "q_bias"
    heads: tuple[int, int] | None = None  # from and to which of its heads; None for all rows
    paired: bool = False  # rotary pairs lie next to each other


@dataclasses.dataclass(frozen=True)
class Layout:
    """The tensors of a model's files."""

    ends: Mapping[str, str]  # the tensor of each weight outside of the layers, of "head" also where it is tied
    prefix: str  # of a layer's tensors, with {} for its index
    layer: Mapping[str, tuple[Rows, ...]]  # what the tensors of a layer consist of, in the order of published files
    unread: tuple[str, ...] = ()  # patterns of whole names: what is computed anew and may stand in files nevertheless

    def tensor_name(self, place: Place) -> str:
        """The tensor that holds a weight."""
        if len(place) == 1:
            return self.ends[place[0]]
        return self.prefix.format(place[1]) + self._holders[place[2]]

    def is_unread(self, name: str) -> bool:
        """Whether a tensor is one that no model reads."""
        return any(re.fullmatch(pattern, name) for pattern in self.unread)

    @functools.cached_property
    def _holders(self) -> dict[str, str]:
        return {rows.of: name for name, parts in self.layer.items() for rows in parts}

    def parts(self, place: Place) -> tuple[Rows, ...]:
        """What the tensor that holds a weight consists of."""
        return (Rows(place[0]),) if len(place) == 1 else self.layer[self._holders[place[2]]]


class Stretch(NamedTuple):
    """Rows of a weight and where they begin in the tensor of a file."""

    start: int
    stop: int
    at: int
    paired: bool


@dataclasses.dataclass(frozen=True)
class RowsTensor:
    """One of our weights, as rows of a tensor that holds others as well, or has them in another order."""

    tensor: Tensor
    stretches: tuple[Stretch, ...]  # in the order of the weight's rows
    shape: tuple[int, ...]
    head_dim: int
    rope_dims: int

    @property
    def dtype(self) -> np.dtype:
        return self.tensor.dtype

    def read(self, slices: Slices) -> np.ndarray:
        """A part of it: of each stretch the rows that are asked for, and of paired ones whole heads."""
        rows, *rest = slices
        H = self.head_dim if self.stretches[0].paired else 1
        first, last = rows.start // H * H, -(-rows.stop // H) * H
        found = []
        for start, stop, at, _ in self.stretches:
            a, b = max(first, start), min(last, stop)
            if a < b:
                found.append(self.tensor.read((slice(at + a - start, at + b - start), *rest)))
        whole = found[0] if len(found) == 1 else np.concatenate(found)
        if H > 1:
            whole = _reordered(whole, H, half_split(H, self.rope_dims))
        return whole[rows.start - first : rows.stop - first]


def half_split(head_dim: int, rope_dims: int) -> np.ndarray:
    """Which row of a head with pairs next to each other is each row of a half-split one; the rest stays."""
    return np.concatenate([np.arange(0, rope_dims, 2), np.arange(1, rope_dims, 2), np.arange(rope_dims, head_dim)])


def shape_of(layout: Layout, arch: Arch, place: Place) -> tuple[int, ...]:
    """The shape that the tensor which holds a weight must have."""
    shapes = _shapes(arch)
    rows = sum(stop - start for _, start, stop, _ in _resolved(layout.parts(place), shapes, arch))
    return (rows, *shapes[place[-1]][1:])


def view(layout: Layout, arch: Arch, place: Place, tensor: Tensor) -> Tensor:
    """A weight in the tensor that holds it."""
    shapes, at, stretches = _shapes(arch), 0, []
    for name, start, stop, paired in _resolved(layout.parts(place), shapes, arch):
        if name == place[-1]:
            stretches.append(Stretch(start, stop, at, paired))
        at += stop - start
    shape = shapes[place[-1]]
    if stretches == [(0, at, 0, False)]:
        return tensor
    return RowsTensor(tensor, tuple(sorted(stretches)), shape, arch.head_dim, _rope_dims(arch))


def pieces(
    layout: Layout, arch: Arch, params: decoder.Params
) -> Iterator[tuple[str, tuple[int, ...], Callable[[], np.ndarray]]]:
    """Every tensor of the files, in their order: its name, its shape, and how it is made when it is asked for.

    Where several processes hold the parameters, all have to ask for all, in one order.
    """
    weights = {place: make for place, _, make in stacking.pieces(arch, params)}

    def piece(place: Place) -> tuple[str, tuple[int, ...], Callable[[], np.ndarray]]:
        made = functools.partial(_made, layout, arch, place, weights)
        return layout.tensor_name(place), shape_of(layout, arch, place), made

    yield piece(("embed",))
    for i in range(arch.num_layers):
        yield from (piece(("layers", i, parts[0].of)) for parts in layout.layer.values())
    yield from (piece((name,)) for name in ("norm", "head") if name in _shapes(arch))


def _made(layout: Layout, arch: Arch, place: Place, weights: Mapping[Place, Callable[[], np.ndarray]]) -> np.ndarray:
    """The tensor that holds a weight, made of all that it holds; each of these is made once."""
    parts = layout.parts(place)
    own = {name: weights[(*place[:-1], name)]() for name in dict.fromkeys(rows.of for rows in parts)}
    H, back = arch.head_dim, np.argsort(half_split(arch.head_dim, _rope_dims(arch)))
    found = []
    for name, start, stop, paired in _resolved(parts, _shapes(arch), arch):
        rows = own[name][start:stop]
        found.append(_reordered(rows, H, back) if paired else rows)
    return found[0] if len(found) == 1 else np.concatenate(found)


def _reordered(rows: np.ndarray, H: int, order: np.ndarray) -> np.ndarray:
    """The rows of each head in another order."""
    return rows.reshape(-1, H, *rows.shape[1:])[:, order].reshape(rows.shape)


def _rope_dims(arch: Arch) -> int:
    return arch.head_dim if arch.rope_dims is None else arch.rope_dims


def _resolved(
    parts: tuple[Rows, ...], shapes: Mapping[str, tuple[int, ...]], arch: Arch
) -> Iterator[tuple[str, int, int, bool]]:
    """Of which weight each stretch is, from and to which of its rows, and whether it is paired."""
    for name, heads, paired in parts:
        start, stop = (0, shapes[name][0]) if heads is None else (heads[0] * arch.head_dim, heads[1] * arch.head_dim)
        yield name, start, stop, paired


@functools.lru_cache
def _shapes(arch: Arch) -> dict[str, tuple[int, ...]]:
    """The shape of every weight with its heads merged; all layers have the same."""
    return {place[-1]: stacking.merged(place[-1], shape) for place, shape in stacking.places(arch)}
