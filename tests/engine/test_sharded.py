"""The engine on a mesh of virtual devices, and several engines as one."""

import math
import re

import jax
import pytest
from jax.sharding import PartitionSpec

from dsmath import sharding
from dsmath.config import Mesh
from dsmath.engine.engine import Engine
from dsmath.engine.replicas import Replicas
from dsmath.model import decoder
from dsmath.sharding import DECODING, decoding_shape, make_mesh, part, place, replicas
from tests.engine.conftest import ARCH, CACHE, GREEDY, prompts, request, run


def make(params, tokenizer, ends, mesh: jax.sharding.Mesh) -> Engine:
    rest = {"end_tokens": ends, "slots": 4, "cache_length": CACHE, "decode_steps": 8}
    return Engine(params, ARCH, tokenizer, **rest, mesh=mesh)


def test_sharded_is_single(params, tokenizer, ends, argmax_loop):
    e = make(decoder.unstack(params), tokenizer, ends, make_mesh(Mesh(data=1, fsdp=1, tensor=2), jax.devices()))
    requests = [request(f"r{i}", ids, max_new=24) for i, ids in enumerate(prompts(6)[2:])]
    done = run(e, requests)
    for r in requests:
        assert done[r.id].ids == argmax_loop(r.ids, 24)
    keys = e._pool[0][0]
    assert keys.sharding.shard_shape(keys.shape)[1] == 1  # of the two heads


def test_replicas_answer_as_one_and_go_on_where_a_sequence_is_held(params, tokenizer, ends, argmax_loop):
    mesh = make_mesh(Mesh(data=2, fsdp=2, tensor=2), jax.devices())
    unstacked = decoder.unstack(params)
    placed = place(unstacked, decoder.unstacked_axes(ARCH), mesh, DECODING)
    meshes = replicas(mesh)
    parts = [part(placed, decoder.unstacked_axes(ARCH), one, DECODING) for one in meshes]
    assert [{d.id for d in one["norm"].devices()} for one in parts] == [{0, 1}, {2, 3}, {4, 5}, {6, 7}]
    engines = [make(p, tokenizer, ends, one) for p, one in zip(parts[:2], meshes[:2], strict=True)]
    together = Replicas(engines)
    requests = [request(f"r{i}", ids, max_new=12, hold=i < 2) for i, ids in enumerate(prompts(6))]
    done = run(together, requests)
    assert {id: c.ids for id, c in done.items()} == {r.id: argmax_loop(r.ids, 12) for r in requests}
    assert sorted(id for e in engines for id in e._scheduler._held) == ["r0", "r1"]
    assert all(e._scheduler._held for e in engines)
    for r in requests[:2]:
        longer = r.ids + done[r.id].ids + (5, 6)
        assert run(together, [request(r.id, longer, max_new=9)])[r.id].ids == argmax_loop(longer, 9)
    assert not together._home
    assert not any(e._scheduler._held for e in engines)
    together.release("r5")


@pytest.mark.parametrize(
    ("training", "decoding"),
    [(Mesh(1, -1, 1), (1, -1)), (Mesh(-1, 1, 1), (-1, 1)), (Mesh(2, 2, 2), (2, 4)), (Mesh(1, 1, 1), (1, 1))],
    ids=str,
)
def test_what_training_splits_over_fsdp_is_split_over_tensor(training, decoding):
    assert decoding_shape(training) == Mesh(data=decoding[0], fsdp=1, tensor=decoding[1])


def test_decoding_gathers_no_weights_though_training_splits_them_over_fsdp(params, tokenizer, ends):
    e = make(decoder.unstack(params), tokenizer, ends, make_mesh(Mesh(data=1, fsdp=1, tensor=2), jax.devices()))
    e.submit(request("r", (5, 6, 7), sampling=GREEDY))
    plan = e._scheduler.plan()
    with jax.set_mesh(e._mesh):
        lowered = e._programs.dispatch.lower(e._params, e._pool, e._state, e._orders(plan), None)
    gathered = [line for line in lowered.compile().as_text().splitlines() if "all-gather(" in line]
    sizes = {math.prod(map(int, re.search(r"\[([\d,]*)\]", line)[1].split(","))) for line in gathered}
    smallest = ARCH.hidden_size * ARCH.num_kv_heads * ARCH.head_dim // 2  # of the weights, on one device
    assert all(size < smallest for size in sizes), gathered
    assert sharding.spec(("vocab", "embed"), sharding.TRAINING) == PartitionSpec("tensor", ("fsdp", "context"))
