"""The mesh and the tables from axis names to mesh axes, on 8 virtual devices."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from dsmath import config, sharding
from dsmath.error import UserError
from tests.several import environments


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [((2, 2, 2), (2, 2, 1, 2)), ((-1, 2, 1), (4, 2, 1, 1)), ((1, -1, 1), (1, 8, 1, 1)), ((1, 2, 1, 2), (1, 2, 2, 1))],
)
def test_a_mesh_has_the_sizes_of_the_config(shape, sizes):
    assert tuple(sharding.make_mesh(config.Mesh(*shape)).shape.values()) == sizes


@pytest.mark.parametrize("shape", [(3, 4, 1), (-1, -1, 1), (0, 1, 1), (-1, 3, 1)])
def test_a_mesh_that_does_not_fit_is_one_line(shape):
    with pytest.raises(UserError, match=r"does not fit 8 devices"):
        sharding.make_mesh(config.Mesh(*shape))


class OfSlice:
    """A device that belongs to one of two TPU slices."""

    def __init__(self, device: jax.Device, slice_index: int):
        self._device, self.slice_index = device, slice_index

    def __getattr__(self, name):
        return getattr(self._device, name)


def test_slices_are_told_apart_along_data_alone():
    devices = [OfSlice(device, device.id // 4) for device in jax.devices()]
    mesh = sharding.make_mesh(config.Mesh(4, 2, 1), devices)
    slices = np.vectorize(lambda device: device.slice_index)(mesh.devices)
    assert slices[:, :, 0, 0].tolist() == [[0, 0], [0, 0], [1, 1], [1, 1]]
    with pytest.raises(UserError, match=r"has to split 2 slices along data; set config.mesh.data to a multiple of 2"):
        sharding.make_mesh(config.Mesh(1, 8, 1), devices)


def test_an_unknown_axis_raises():
    with pytest.raises(KeyError, match="hedas"):
        sharding.spec(("batch", "hedas"), sharding.TRAINING)


def test_placed_arrays_are_split_and_unchanged():
    mesh = sharding.make_mesh(config.Mesh(2, 2, 2))
    x = np.arange(32.0).reshape(4, 8)
    placed = sharding.place({"w": x}, {"w": ("hidden", "embed")}, mesh, sharding.TRAINING)["w"]
    assert placed.sharding.spec == PartitionSpec("tensor", ("fsdp", "context"))
    assert placed.addressable_shards[0].data.shape == (2, 4)
    assert np.array_equal(placed, x)


def test_sizes_that_do_not_divide_are_one_line():
    mesh = sharding.make_mesh(config.Mesh(1, 1, 8))
    with pytest.raises(UserError, match=r"splits axis 'heads' over 8 devices, but its size is 9"):
        sharding.place({"q": jnp.zeros((9, 4))}, {"q": ("heads", "head")}, mesh, sharding.TRAINING)


def test_constrain_splits_inside_a_jitted_function():
    mesh = sharding.make_mesh(config.Mesh(2, 2, 2))
    with jax.set_mesh(mesh):
        y = jax.jit(lambda x: sharding.constrain(x * 2, ("batch", "length"), sharding.TRAINING))(jnp.ones((4, 8)))
    assert y.addressable_shards[0].data.shape == (1, 8)


def test_a_gathered_weight_is_whole_on_every_device_and_its_gradient_split():
    mesh = sharding.make_mesh(config.Mesh(2, 2, 2))
    axes = ("hidden", "embed")
    w = sharding.place(np.arange(32.0, dtype=np.float32).reshape(4, 8), axes, mesh, sharding.TRAINING)
    with jax.set_mesh(mesh):
        whole = jax.jit(lambda w: sharding.gathered(w, axes, sharding.TRAINING))(w)
        gradient = jax.jit(jax.grad(lambda w: jnp.sum(sharding.gathered(w, axes, sharding.TRAINING) ** 2)))(w)
    assert np.array_equal(whole, w)
    assert np.array_equal(gradient, 2 * w)
    assert whole.addressable_shards[0].data.shape == (2, 8)  # tensor splits what is computed
    assert gradient.addressable_shards[0].data.shape == (2, 4)


LOCAL = """
import sys
import jax, numpy as np
from dsmath import config, runtime, sharding
runtime.start()
mesh = sharding.make_mesh(config.Mesh(1, -1, 2), jax.devices()[::-1])  # in an order of its own
x = np.arange(64.0, dtype=np.float32).reshape(8, 8)
axes = {"w": ("hidden", "embed"), "scale": ("norm",)}
whole = jax.tree.map(
    lambda names, a: jax.make_array_from_callback(
        a.shape, jax.sharding.NamedSharding(mesh, sharding.spec(names, sharding.TRAINING)), lambda i, a=a: a[i]
    ),
    axes, {"w": x, "scale": x[0]}, is_leaf=lambda n: isinstance(n, tuple),
)
assert not whole["w"].is_fully_addressable
mine = sharding.local(whole, axes, config.Mesh(1, 1, -1), sharding.DECODING)
assert mine["w"].sharding.device_set == set(jax.local_devices())
assert mine["w"].sharding.spec == jax.sharding.PartitionSpec("tensor", None)
assert np.array_equal(mine["w"], x) and np.array_equal(mine["scale"], x[0])
assert np.array_equal(jax.jit(lambda w: w @ w.T)(mine["w"]), x @ x.T), "what one process computes alone"
try:
    sharding.local(whole, axes, config.Mesh(1, 1, 1), sharding.DECODING)
except sharding.UserError as e:
    print(e)
"""


def test_each_of_two_processes_takes_its_own_copy_of_what_lies_across_both():
    started = [
        subprocess.Popen([sys.executable, "-c", LOCAL], env=own, stdout=subprocess.PIPE, text=True)
        for own in environments(2, devices=2)
    ]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert all("config.mesh has 1 devices, each process has 2" in text for text in said)
