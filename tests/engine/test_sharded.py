"""The engine on a mesh of virtual devices."""

import math
import re

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from dsmath import sharding
from dsmath.config import Mesh
from dsmath.engine.engine import Engine
from dsmath.error import UserError
from dsmath.model import decoder
from dsmath.sharding import make_mesh
from tests.engine.conftest import ARCH, CACHE, prompts, request, run


def make(params, tokenizer, ends, *, mesh: Mesh, slots: int) -> Engine:
    return Engine(
        decoder.unstack(params),
        ARCH,
        tokenizer,
        end_tokens=ends,
        slots=slots,
        cache_length=CACHE,
        decode_steps=8,
        mesh=make_mesh(mesh, jax.devices()),
    )


def test_sharded_is_single(params, tokenizer, ends, argmax_loop):
    e = make(params, tokenizer, ends, mesh=Mesh(data=2, fsdp=2, tensor=2), slots=4)
    requests = [request(f"r{i}", ids, max_new=24) for i, ids in enumerate(prompts(6)[2:])]
    done = run(e, requests)
    for r in requests:
        assert done[r.id].ids == argmax_loop(r.ids, 24)
    keys = e._cache[0][0]
    assert keys.sharding.shard_shape(keys.shape)[:2] == (1, 1)


def test_slots_that_the_mesh_does_not_divide_are_refused(params, tokenizer, ends):
    with pytest.raises(UserError, match="'batch' over 4 devices, but its size is 6"):
        make(params, tokenizer, ends, mesh=Mesh(data=2, fsdp=2, tensor=2), slots=6)


@pytest.mark.parametrize("shape", [(1, 4, 2), (2, 2, 2)])
def test_decoding_gathers_no_weights_though_training_splits_them_over_fsdp(params, tokenizer, ends, shape):
    e = make(params, tokenizer, ends, mesh=Mesh(*shape), slots=8)
    with jax.set_mesh(e._mesh):
        zeros = np.zeros(8, np.int32)
        lowered = e._decode.lower(e._params, e._cache, e._token_B, zeros, zeros + 1, None)
    gathered = [line for line in lowered.compile().as_text().splitlines() if "all-gather(" in line]
    sizes = {math.prod(map(int, re.search(r"\[([\d,]*)\]", line)[1].split(","))) for line in gathered}
    smallest = ARCH.hidden_size * ARCH.num_kv_heads * ARCH.head_dim // shape[2]  # of the weights, on one device
    assert all(size < smallest for size in sizes), gathered
    assert sharding.spec(("vocab", "embed"), sharding.TRAINING) == PartitionSpec("tensor", ("fsdp", "context"))
