"""Between the tensors of files and parameters: layers stacked, the heads of a matrix on axes of their own.

A place names a weight: ("embed",), or ("layers", i, "q"). Published matrices have two axes, with the heads merged
into the output side, or, of "o", into the input side. Parameters are made shard by shard, of slices of tensors, so that
a host reads what its own devices hold, and little more than one shard is in its memory beside them.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import jax
import ml_dtypes
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model import decoder

Place = tuple[str] | tuple[str, int, str]
Slices = tuple[slice, ...]

FLOATS = tuple(np.dtype(kind) for kind in (np.float64, np.float32, np.float16, ml_dtypes.bfloat16))
READ_BYTES = 64 << 20  # of a tensor at a time
# Weights in the order of a published model, which is the order in which its files are filled.
LAYER_ORDER = ("q", "k", "v", "o", "gate", "up", "down", "attn_norm", "mlp_norm")


class Tensor(Protocol):
    """A tensor in a file, with the axes that HF gives it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole tensor."""

    @property
    def dtype(self) -> np.dtype:
        """As `read` gives it."""

    def read(self, slices: Slices) -> np.ndarray:
        """A part of it, read from the file now; slices have a start, a stop, and no step."""


@dataclasses.dataclass(frozen=True)
class Weights:
    """A model in files, opened, with nothing of it read yet."""

    arch: Arch
    of: Path
    tensor: Callable[[Place], tuple[str, Tensor]]  # and its name in the file; raises UserError if there is none

    def check(self) -> None:
        """Raise UserError with the first tensor that is missing, or isn't of the shape that the architecture gives."""
        for place, shape in places(self.arch):
            name, tensor = self.tensor(place)
            if tensor.shape != merged(place[-1], shape):
                raise UserError(
                    f"{self.of}: {name} is {list(tensor.shape)} but the architecture beside it makes it "
                    f"{list(merged(place[-1], shape))}; weights and config are of different models"
                )
            if tensor.dtype not in FLOATS:
                raise UserError(f"{self.of}: {name} is none of the types {', '.join(map(str, FLOATS))}; convert it")


def places(arch: Arch) -> Iterator[tuple[Place, tuple[int, ...]]]:
    """Every weight of a model with the shape of our parameter, in the order in which files are filled."""
    shapes = jax.tree.map(lambda x: x.shape, decoder.abstract(arch))
    layers = shapes.pop("layers")
    yield ("embed",), shapes.pop("embed")
    for i in range(arch.num_layers):
        yield from ((("layers", i, name), layers[name][1:]) for name in LAYER_ORDER)
    yield from (((name,), shapes[name]) for name in ("norm", "head") if name in shapes)


def merged(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a weight, by its own name, with its head axes merged."""
    if len(shape) < 3:
        return shape
    return (shape[0], shape[1] * shape[2]) if name == "o" else (shape[0] * shape[1], shape[2])


def place(weights: Weights, shardings: decoder.Params, dtype: jax.typing.DTypeLike) -> decoder.Params:
    """The parameters, stacked, on the devices of `shardings`, in `dtype`.

    Every process reads what its devices hold; what several of them hold alike is read once.
    """
    weights.check()
    shapes = decoder.abstract(weights.arch)
    layers = {
        name: _placed(functools.partial(_stack, weights, name), shapes["layers"][name].shape, sharding, dtype)
        for name, sharding in shardings["layers"].items()
    }
    ends = {
        name: _placed(functools.partial(_fill, weights, (name,)), shapes[name].shape, sharding, dtype)
        for name, sharding in shardings.items()
        if name != "layers"
    }
    return ends | {"layers": layers}


def read(weights: Weights, place: Place) -> np.ndarray:
    """One weight whole, in the shape of our parameter and the type of its file."""
    shapes = decoder.abstract(weights.arch)
    shape = shapes[place[0]].shape if len(place) == 1 else shapes["layers"][place[2]].shape[1:]
    out = np.empty(shape, weights.tensor(place)[1].dtype)
    _fill(weights, place, out, shape, tuple(slice(0, size) for size in shape))
    return out


Fill = Callable[[np.ndarray, tuple[int, ...], Slices], None]  # an array, with a part of a parameter of this shape


def _placed(
    fill: Fill, shape: tuple[int, ...], sharding: jax.sharding.Sharding, dtype: jax.typing.DTypeLike
) -> jax.Array:
    """One parameter. `jax.make_array_from_callback` would hold the shards of all devices at once."""
    holders: dict[tuple[tuple[int, int], ...], list[jax.Device]] = {}
    for device, index in sharding.addressable_devices_indices_map(shape).items():
        bounds = tuple(s.indices(size)[:2] for s, size in zip(index or (), shape, strict=True))
        holders.setdefault(bounds, []).append(device)
    shards = []
    for bounds, devices in holders.items():
        part = np.empty([stop - start for start, stop in bounds], dtype)
        fill(part, shape, tuple(slice(start, stop) for start, stop in bounds))
        # A donated array may be overwritten, so that none may be this memory.
        shards += jax.block_until_ready([jax.device_put(part, device, may_alias=False) for device in devices])
    return jax.make_array_from_single_device_arrays(shape, sharding, shards)


def _stack(weights: Weights, name: str, part: np.ndarray, shape: tuple[int, ...], slices: Slices) -> None:
    for out, i in zip(part, range(slices[0].start, slices[0].stop), strict=True):
        _fill(weights, ("layers", i, name), out, shape[1:], slices[1:])


def _fill(weights: Weights, place: Place, part: np.ndarray, shape: tuple[int, ...], slices: Slices) -> None:
    """Read a part of one weight, some rows at a time; numpy converts the type on the way."""
    _, tensor = weights.tensor(place)
    rows = max(1, READ_BYTES // max(1, math.prod(part.shape[1:]) * tensor.dtype.itemsize))
    for begin in range(0, len(part), rows):
        out = part[begin : begin + rows]
        start = slices[0].start + begin
        _read(tensor, place[-1], out, shape, (slice(start, start + len(out)), *slices[1:]))


def _read(tensor: Tensor, name: str, out: np.ndarray, shape: tuple[int, ...], slices: Slices) -> None:
    if len(shape) < 3:
        out[...] = tensor.read(slices)
        return
    heads, axis = (slices[1:], 1) if name == "o" else (slices[:2], 0)
    N, H = heads
    size = shape[axis + 1]
    both = slice(N.start * size, N.stop * size)  # whole heads, as `head` is split by no table
    found = tensor.read((slices[0], both) if name == "o" else (both, slices[2]))
    split = found.reshape(*found.shape[:axis], N.stop - N.start, size, *found.shape[axis + 1 :])
    out[...] = split[:, :, H] if name == "o" else split[:, H]


def pieces(arch: Arch, params: decoder.Params) -> Iterator[tuple[Place, tuple[int, ...], Callable[[], np.ndarray]]]:
    """Every weight as a file holds it: its place, its shape there, and how it is made when it is asked for.

    Where several processes hold the parameters, all have to ask for all, in one order: each then gets them whole.
    """
    for place, ours in places(arch):
        shape = merged(place[-1], ours)
        yield place, shape, functools.partial(_piece, params, place, shape)


def _piece(params: decoder.Params, place: Place, shape: tuple[int, ...]) -> np.ndarray:
    x = params[place[0]] if len(place) == 1 else params["layers"][place[2]][place[1]]
    if isinstance(x, jax.Array) and not x.is_fully_addressable:
        assert isinstance(x.sharding, NamedSharding)
        everywhere = NamedSharding(x.sharding.mesh, PartitionSpec())
        x = jax.jit(lambda x: x, out_shardings=everywhere)(x).addressable_data(0)
    return np.asarray(x).reshape(shape)
