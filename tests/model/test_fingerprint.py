"""A fingerprint names the values: any change changes it, no mesh does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from dsmath.model.fingerprint import fingerprint


def params(dtype=np.float32):
    values = np.random.default_rng(0).normal(size=(16, 8)).astype(dtype)
    return {"a": {"kernel": jnp.asarray(values)}, "b": jnp.arange(8, dtype=jnp.int32)}


def test_the_same_values_have_the_same_name():
    assert fingerprint(params()) == fingerprint(params())
    assert len(fingerprint(params())) == 12


@pytest.mark.parametrize("spec", [("x", None), (None, "y"), ("x", "y"), (("x", "y"), None)])
def test_sharding_does_not_matter(spec):
    mesh = jax.make_mesh((4, 2), ("x", "y"))
    sharded = params()
    sharded["a"]["kernel"] = jax.device_put(sharded["a"]["kernel"], NamedSharding(mesh, PartitionSpec(*spec)))
    assert fingerprint(sharded) == fingerprint(params())


def change_last_bit(p):
    kernel = np.array(p["a"]["kernel"])
    kernel[3, 5] = np.nextafter(kernel[3, 5], np.float32(np.inf))
    return {**p, "a": {"kernel": jnp.asarray(kernel)}}


def swap_two_values(p):
    kernel = np.array(p["a"]["kernel"])
    kernel[0, 0], kernel[7, 1] = kernel[7, 1], kernel[0, 0]
    return {**p, "a": {"kernel": jnp.asarray(kernel)}}


@pytest.mark.parametrize(
    "change",
    [
        change_last_bit,
        swap_two_values,
        lambda p: {**p, "a": {"kernel": p["a"]["kernel"].reshape(8, 16)}},
        lambda p: {**p, "a": {"kernel": p["a"]["kernel"].T}},
        lambda p: {**p, "a": {"kernel": p["a"]["kernel"].astype(jnp.bfloat16)}},
        lambda p: {"c": p["a"], "b": p["b"]},
    ],
)
def test_any_change_changes_it(change):
    assert fingerprint(change(params())) != fingerprint(params())
