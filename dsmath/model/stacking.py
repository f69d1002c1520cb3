"""Between the tensors of files and parameters: layers stacked, the heads of a matrix on axes of their own.

A place names a weight: ("embed",), or ("layers", i, "q"). Published matrices have two axes, with the heads merged
into the output side, or, of "o", into the input side; a bias has the output side alone. Parameters are made shard by
shard, of slices of tensors, so that a host reads what its own devices hold, and little more than one shard is in its
memory beside them.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

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
LAYER_ORDER = ("q", "q_bias", "k", "k_bias", "v", "v_bias", "o", "gate", "up", "down", "attn_norm", "mlp_norm")
# Which axis of a parameter the heads are on, whose size is on the next one.
HEADS = {"o": 1} | dict.fromkeys(("q", "k", "v", *decoder.BIASES), 0)


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
        yield from ((("layers", i, name), layers[name][1:]) for name in LAYER_ORDER if name in layers)
    yield from (((name,), shapes[name]) for name in ("norm", "head") if name in shapes)


def merged(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a weight, by its own name, with its head axes merged."""
    if name not in HEADS:
        return shape
    axis = HEADS[name]
    return (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])


def place(weights: Weights, shardings: decoder.Params, dtype: jax.typing.DTypeLike) -> decoder.Params:
    """The parameters, stacked, on the devices of `shardings`, in `dtype`.

    Every process reads what its devices hold; what several of them hold alike is read once.
    """
    weights.check()
    shapes = decoder.abstract(weights.arch)

    def at(tree: decoder.Params, path: tuple[str, ...]) -> Any:
        return functools.reduce(operator.getitem, path, tree)

    def held(path: tuple[str, ...]) -> int:
        return math.prod(at(shardings, path).shard_shape(at(shapes, path).shape))

    # The largest first: a shard is held beside what is placed already.
    layers = sorted((("layers", name) for name in shapes["layers"]), key=held, reverse=True)
    ends = sorted(((name,) for name in shapes if name != "layers"), key=held, reverse=True)
    placed = {
        path: _placed(weights, path, at(shapes, path).shape, at(shardings, path), dtype) for path in (*layers, *ends)
    }
    return {path[0]: placed[path] for path in ends} | {"layers": {path[1]: placed[path] for path in layers}}


def shard(weights: Weights, path: tuple[str, ...], slices: Slices, dtype: jax.typing.DTypeLike) -> np.ndarray:
    """A part of one parameter: ("embed",), or ("layers", "q") for all layers' "q", stacked."""
    out = np.empty([s.stop - s.start for s in slices], dtype)
    if len(path) == 1:
        _fill(weights, (path[0],), out, slices)
    else:
        for layer, i in zip(out, range(slices[0].start, slices[0].stop), strict=True):
            _fill(weights, ("layers", i, path[1]), layer, slices[1:])
    return out


def read(weights: Weights, place: Place) -> np.ndarray:
    """One weight whole, in the shape of our parameter and the type of its file."""
    shape = _shape(weights.arch, place)
    out = np.empty(shape, weights.tensor(place)[1].dtype)
    _fill(weights, place, out, tuple(slice(0, size) for size in shape))
    return out


def _shape(arch: Arch, place: Place) -> tuple[int, ...]:
    shapes = decoder.abstract(arch)
    return shapes[place[0]].shape if len(place) == 1 else shapes["layers"][place[2]].shape[1:]


def _placed(
    weights: Weights,
    path: tuple[str, ...],
    shape: tuple[int, ...],
    sharding: jax.sharding.Sharding,
    dtype: jax.typing.DTypeLike,
) -> jax.Array:
    """One parameter. `jax.make_array_from_callback` would hold the shards of all devices at once."""
    holders: dict[tuple[tuple[int, int], ...], list[jax.Device]] = {}
    for device, index in sharding.addressable_devices_indices_map(shape).items():
        bounds = tuple(s.indices(size)[:2] for s, size in zip(index or (), shape, strict=True))
        holders.setdefault(bounds, []).append(device)
    shards = []
    for bounds, devices in holders.items():
        part = shard(weights, path, tuple(slice(start, stop) for start, stop in bounds), dtype)
        # A donated array may be overwritten, so that none may be this memory.
        shards += jax.block_until_ready([jax.device_put(part, device, may_alias=False) for device in devices])
        del part
    return jax.make_array_from_single_device_arrays(shape, sharding, shards)


def _fill(weights: Weights, place: Place, part: np.ndarray, slices: Slices) -> None:
    """Read a part of one weight, some rows at a time; numpy converts the type on the way."""
    _, tensor = weights.tensor(place)
    rows = max(1, READ_BYTES // max(1, math.prod(part.shape[1:]) * tensor.dtype.itemsize))
    for begin in range(0, len(part), rows):
        out = part[begin : begin + rows]
        start = slices[0].start + begin
        _read(tensor, place[-1], weights.arch.head_dim, out, (slice(start, start + len(out)), *slices[1:]))


def _read(tensor: Tensor, name: str, H: int, out: np.ndarray, slices: Slices) -> None:
    """Into `out`, with the axes of our parameter; of heads, which the tensor has merged, whole ones are read."""
    if name not in HEADS:
        out[...] = tensor.read(slices)
        return
    axis = HEADS[name]
    heads, within = slices[axis : axis + 2]
    both = slice(heads.start * H, heads.stop * H)
    found = tensor.read((*slices[:axis], both, *slices[axis + 2 :]))
    split = found.reshape(*found.shape[:axis], -1, H, *found.shape[axis + 1 :])
    out[...] = split[(*[slice(None)] * (axis + 1), within)]


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
