"""Sharding: the device mesh, and tables from axis names to mesh axes, one for training and one for decoding.

Arrays are described by tuples of axis names; a table, passed as a value, says over which mesh axes each is split. Names
that are not in it raise. Programs are `jax.jit` with named shardings; the compiler inserts the collectives.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from dsmath import config
from dsmath.error import UserError

AXES = ("data", "fsdp", "context", "tensor")

Rules = Mapping[str | None, str | tuple[str, ...] | None]

TRAINING: Rules = {
    # activations
    "batch": ("data", "fsdp"),
    "length": "context",  # query time
    "cache": None,  # key time
    "pages": None,
    "rows": "data",  # of logits, whose classes take the other axes
    # weights
    "layers": None,
    "vocab": "tensor",
    "classes": ("fsdp", "context", "tensor"),  # the vocabulary, as output
    "embed": ("fsdp", "context"),
    "hidden": "tensor",
    "heads": "tensor",
    "kv_heads": "tensor",
    "head": None,
    "norm": None,
    # not split
    None: None,
}
# A step of decoding reads each weight for a few tokens: gathering it first would cost more than all else.
DECODING: Rules = {**TRAINING, "embed": None, "classes": "tensor"}

Axes = tuple[str | None, ...]


def make_mesh(shape: config.Mesh, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh (data, fsdp, context, tensor) over `devices`, by default all. One axis may be -1: what is left.

    Devices of several TPU slices, which a slower network joins, are told apart along `data` alone.
    """
    devices = jax.devices() if devices is None else devices
    sizes = [shape.data, shape.fsdp, shape.context, shape.tensor]
    known = 1
    for size in sizes:
        known *= size if size > 0 else 1
    if sizes.count(-1) == 1 and len(devices) % known == 0:
        sizes[sizes.index(-1)] = len(devices) // known
    asked = (shape.data, shape.fsdp, shape.context, shape.tensor)
    if any(size < 1 for size in sizes) or math.prod(sizes) > len(devices):
        raise UserError(
            f"config.mesh ({', '.join(AXES)}) = {asked} does not fit "
            f"{len(devices)} devices; expected positive sizes whose product is at most that, one of them may be -1"
        )
    types = (AxisType.Auto,) * len(AXES)
    used = devices[: math.prod(sizes)]
    slices = len({getattr(device, "slice_index", 0) for device in used})
    if slices == 1:
        return jax.make_mesh(tuple(sizes), AXES, axis_types=types, devices=used)
    if sizes[0] % slices:
        raise UserError(
            f"config.mesh ({', '.join(AXES)}) = {asked} has to split {slices} slices along data; "
            f"set config.mesh.data to a multiple of {slices}"
        )
    within, across = (sizes[0] // slices, *sizes[1:]), (slices, *(1 for _ in sizes[1:]))
    return Mesh(mesh_utils.create_hybrid_device_mesh(within, across, devices=used), AXES, axis_types=types)


def host_mesh(shape: config.Mesh, process: int | None = None) -> Mesh:
    """The mesh over the devices of one process, by default this one: what a model is decoded on."""
    index = jax.process_index() if process is None else process
    return make_mesh(shape, [device for device in jax.devices() if device.process_index == index])


def decoding_shape(shape: config.Mesh) -> config.Mesh:
    """How the devices of a training mesh decode: `data` copies of the weights, each split over all the others, as no
    step of decoding could wait for weights to be gathered.
    """
    others = (shape.fsdp, shape.context, shape.tensor)
    return config.Mesh(data=shape.data, fsdp=1, tensor=-1 if min(others) < 1 else math.prod(others))


def spec(axes: Axes, rules: Rules) -> PartitionSpec:
    """The partition of an array with these axis names. Raises KeyError for a name that the table lacks."""
    return PartitionSpec(*(rules[name] for name in axes))


def constrain(x: jax.Array, axes: Axes, rules: Rules) -> jax.Array:
    """Pin a traced array's partition on the mesh in use (`jax.set_mesh`). Without a mesh there is nothing to split."""
    if jax.sharding.get_abstract_mesh().empty:
        return x
    return jax.lax.with_sharding_constraint(x, spec(axes, rules))


def gathered(weight: jax.Array, axes: Axes, rules: Rules) -> jax.Array:
    """A weight as each device needs it to compute: whole but for what `tensor` splits. Its gradient is split as it was.

    Said once, where a layer begins, as XLA would else choose anew for every product what to gather, and would sum
    gradients on all devices.
    """

    @jax.custom_vjp
    def gather(x):
        return constrain(x, axes, {**rules, "embed": None})

    gather.defvjp(lambda x: (gather(x), None), lambda _, grad: (constrain(grad, axes, rules),))
    return gather(weight)


def shardings(axes: Any, mesh: Mesh, rules: Rules) -> Any:
    """A tree of axis names as a tree of shardings on `mesh`."""
    return jax.tree.map(lambda names: NamedSharding(mesh, spec(names, rules)), axes, is_leaf=_is_axes)


def place(tree: Any, axes: Any, mesh: Mesh, rules: Rules) -> Any:
    """Put a tree of arrays on the mesh. Raises UserError where a mesh axis does not divide an array's axis."""
    require_even(tree, axes, mesh, rules)
    return jax.device_put(tree, shardings(axes, mesh, rules))


def require_even(tree: Any, axes: Any, mesh: Mesh, rules: Rules) -> None:
    """Raise UserError where a mesh axis does not divide the axis of an array, or of what has the shape of one."""

    def check(names: Axes, x: Any) -> None:
        for name, size in zip(names, x.shape, strict=True):
            over = rules[name] or ()
            parts = 1
            for axis in (over,) if isinstance(over, str) else over:
                parts *= mesh.shape[axis]
            if size % parts:
                raise UserError(
                    f"config.mesh splits axis {name!r} over {parts} devices, but its size is {size}; "
                    f"choose sizes of {over} that divide it"
                )

    jax.tree.map(check, axes, tree, is_leaf=_is_axes)


def local(tree: Any, axes: Any, shape: config.Mesh, rules: Rules) -> Any:
    """A tree of arrays that lie across the devices of all processes, as each process's own copy on its `host_mesh`.

    All processes call it together; `rules` split nothing over `data`. On each host the whole tree has to fit: cast it
    before. Raises UserError if a process has devices that `shape` leaves over.
    """
    meshes = [host_mesh(shape, process) for process in range(jax.process_count())]
    mine = meshes[jax.process_index()]
    if mine.size != jax.local_device_count():
        raise UserError(
            f"config.mesh has {mine.size} devices, each process has {jax.local_device_count()}; set config.mesh.data "
            "to -1, so that it takes them all"
        )
    everywhere = Mesh(np.concatenate([mesh.devices for mesh in meshes]), AXES, axis_types=mine.axis_types)

    def spread(names: Axes, x: jax.Array) -> jax.Array:
        return jax.device_put(x, NamedSharding(everywhere, spec(names, rules)))

    return part(jax.tree.map(spread, axes, tree, is_leaf=_is_axes), axes, mine, rules)


def part(tree: Any, axes: Any, mesh: Mesh, rules: Rules) -> Any:
    """A tree of arrays that lie on more devices, on those of `mesh` alone, each of which keeps what it has.

    The devices of `mesh` must have all of it between them, split by the same rules.
    """

    def keep(names: Axes, x: jax.Array) -> jax.Array:
        of_device = {shard.device: shard.data for shard in x.addressable_shards}
        parts = [of_device[device] for device in mesh.devices.flat]
        return jax.make_array_from_single_device_arrays(x.shape, NamedSharding(mesh, spec(names, rules)), parts)

    return jax.tree.map(keep, axes, tree, is_leaf=_is_axes)


def replicas(mesh: Mesh) -> list[Mesh]:
    """The parts of a mesh that each decode with weights of their own: those along `tensor` split them between them."""
    rows = mesh.devices.reshape(-1, 1, 1, 1, mesh.shape["tensor"])
    return [Mesh(devices, AXES, axis_types=mesh.axis_types) for devices in rows]


def _is_axes(node: Any) -> bool:
    return isinstance(node, tuple) and all(name is None or isinstance(name, str) for name in node)
