"""Weights that count what is read of them."""

import collections
import dataclasses
import math

import numpy as np

from dsmath.model.stacking import Place, Slices, Tensor, Weights


@dataclasses.dataclass(frozen=True)
class CountedTensor:
    """A tensor of a file, and where the bytes that are read of it are counted by its name."""

    name: str
    tensor: Tensor
    counts: collections.Counter[str]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    @property
    def dtype(self) -> np.dtype:
        return self.tensor.dtype

    def read(self, slices: Slices) -> np.ndarray:
        self.counts[self.name] += math.prod(s.stop - s.start for s in slices) * self.dtype.itemsize
        return self.tensor.read(slices)


def counted(weights: Weights) -> tuple[Weights, collections.Counter[str]]:
    """The same weights, and the bytes that are read of each tensor from now on."""
    counts: collections.Counter[str] = collections.Counter()

    def find(place: Place) -> tuple[str, Tensor]:
        name, tensor = weights.tensor(place)
        return name, CountedTensor(name, tensor, counts)

    return dataclasses.replace(weights, tensor=find), counts
