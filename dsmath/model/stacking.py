"""From the tensors of a file to parameters: layers stacked, the heads of a matrix on axes of their own.

A path names a parameter: ("embed",), or ("layers", i, "q"). Published matrices have two axes, with the heads merged
into the output side, or, of "o", into the input side.
"""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model import decoder

Place = tuple[str] | tuple[str, int, str]


def fill(arch: Arch, read: Callable[[Place, tuple[int, ...]], np.ndarray]) -> decoder.Params:
    """Parameters from `read(path, shape)`, which gives one layer's weight at a time."""

    def stack(name: str, shape: tuple[int, ...]) -> np.ndarray:
        out = np.empty(shape, np.float32)
        for i in range(arch.num_layers):
            out[i] = read(("layers", i, name), shape[1:])
        return out

    shapes = jax.tree.map(lambda x: x.shape, jax.eval_shape(lambda: decoder.init(arch, jax.random.key(0))))
    layers = {name: stack(name, shape) for name, shape in shapes.pop("layers").items()}
    return {name: read((name,), shape) for name, shape in shapes.items()} | {"layers": layers}


def pieces(params: decoder.Params) -> Iterator[tuple[Place, Callable[[], np.ndarray], tuple[int, ...]]]:
    """Every weight as a file holds it, with its path and its shape there; it is made when it is asked for."""
    for name in sorted(params.keys() - {"layers"}):
        yield (name,), functools.partial(np.asarray, params[name]), params[name].shape
    for name, stack in params["layers"].items():
        shape = merged(name, stack.shape[1:])
        for i in range(stack.shape[0]):
            yield ("layers", i, name), functools.partial(_layer, stack, i, shape), shape


def _layer(stack: jax.Array, i: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(stack[i]).reshape(shape)


def merged(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a weight, by its own name, with its head axes merged."""
    if len(shape) < 3:
        return shape
    return (shape[0], shape[1] * shape[2]) if name == "o" else (shape[0] * shape[1], shape[2])


def split(tensor: np.ndarray, place: Place, shape: tuple[int, ...], *, called: str, of: Path) -> np.ndarray:
    """A file's tensor in the shape of our parameter. Raises UserError where it doesn't fit."""
    expected = merged(place[-1], shape)
    if tensor.shape != expected:
        raise UserError(
            f"{of}: {called} is {list(tensor.shape)} but the architecture beside it makes it {list(expected)}; "
            "weights and config are of different models"
        )
    return tensor.reshape(shape)
