"""What is counted in a compiled program is what is counted by hand: on eight virtual devices, by XLA's CPU compiler."""

import functools
import re

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from dsmath.plan import hlo, traffic

N = 8
MESH = jax.make_mesh((N,), ("x",), axis_types=(AxisType.Auto,))
SPLIT, WHOLE = PartitionSpec("x"), PartitionSpec()
BYTES = 4 * 32  # of a chip's part of the arrays below: 32 numbers in f32


def text_of(function, *, out=SPLIT) -> str:
    """A function of a chip's part [32] of an array and of a flag, compiled for all chips."""
    mapped = jax.shard_map(function, mesh=MESH, in_specs=(SPLIT, WHOLE), out_specs=out, check_vma=False)
    args = [
        jax.ShapeDtypeStruct((N * 32,), jnp.float32, sharding=NamedSharding(MESH, SPLIT)),
        jax.ShapeDtypeStruct((), jnp.int32, sharding=NamedSharding(MESH, WHOLE)),
    ]
    return jax.jit(mapped).lower(*args).compile().as_text()


def moved(text: str) -> traffic.Moved:
    return traffic.moved(hlo.parse(text))


def summed(x):
    """One all-reduce, whose result the next one needs."""
    return jax.lax.psum(x, "x") * 0.5


def nested(x, flag):
    """5 x (3 + 1) all-reduces, and one."""

    def outer(_, x):
        return summed(jax.lax.fori_loop(0, 3, lambda _, x: summed(x), x))

    return summed(jax.lax.fori_loop(0, 5, outer, x))


def test_a_loop_counts_as_often_as_it_runs_also_within_another():
    found = moved(text_of(nested))
    assert found.count == {"all-reduce": 21}
    assert found.bytes == {"all-reduce": 21 * BYTES}
    assert found.sent == pytest.approx(21 * 2 * BYTES * (N - 1) / N)
    assert found.unread_loops == []


@pytest.mark.parametrize(
    ("begin", "unfinished", "step", "times"),
    [
        (0, lambda i: i < 7, 1, 7),
        (3, lambda i: i < 16, 2, 7),
        (1, lambda i: i <= 9, 2, 5),
        (9, lambda i: i > 0, -2, 5),
        (9, lambda i: i >= 1, -4, 3),
        (4, lambda i: i < 4, 1, 0),
    ],
)
def test_a_loops_length_is_read_where_the_compiler_did_not_note_it(begin, unfinished, step, times):
    """Neither does the TPU compiler note it."""

    def loop(x, flag):
        state = (jnp.int32(begin), x)
        return jax.lax.while_loop(lambda s: unfinished(s[0]), lambda s: (s[0] + step, summed(s[1])), state)[1]

    text = text_of(loop)
    assert moved(re.sub(r',?\s*"known_trip_count":\{[^}]*\}', "", text)).count["all-reduce"] == times
    assert moved(text).count["all-reduce"] == times


def test_a_loop_whose_length_no_one_knows_is_named_and_counts_once():
    def loop(x, flag):
        return jax.lax.while_loop(lambda s: s[0] < flag, lambda s: (s[0] + 1, summed(s[1])), (jnp.int32(0), x))[1]

    found = moved(text_of(loop))
    assert found.count == {"all-reduce": 1}
    assert len(found.unread_loops) == 1


def test_of_branches_the_one_that_moves_most_counts():
    def branches(x, flag):
        return jax.lax.cond(flag > 0, lambda x: x, lambda x: summed(x * summed(x)), x)

    assert moved(text_of(branches)).count == {"all-reduce": 2}


@pytest.mark.parametrize(
    ("kind", "collective", "size", "sent"),
    [
        ("all-gather", lambda x: jax.lax.all_gather(x, "x", tiled=True)[:32], N * BYTES, (N - 1) * BYTES),
        ("reduce-scatter", lambda x: jax.lax.psum_scatter(x, "x", tiled=True), BYTES, BYTES * (N - 1) / N),
        ("all-to-all", lambda x: jax.lax.all_to_all(x, "x", 0, 0, tiled=True), BYTES, BYTES * (N - 1) / N),
        ("collective-permute", lambda x: jax.lax.ppermute(x, "x", [(i, (i + 1) % N) for i in range(N)]), BYTES, BYTES),
    ],
)
def test_bytes_are_those_of_the_whole_array_and_sent_is_what_must_leave_a_chip(kind, collective, size, sent):
    found = moved(text_of(lambda x, flag: collective(x)))
    assert found.count == {kind: 1}
    assert found.bytes == {kind: size}
    assert found.sent == pytest.approx(sent)


def test_memory_is_read_and_written_once_by_what_is_fused_and_in_part_where_a_part_is_taken():
    """Sin and add are one pass over 4 MB; a loop takes and puts rows of 4 KB out of as much."""
    x = jax.ShapeDtypeStruct((1024, 1024), jnp.float32)
    one_pass = moved(jax.jit(lambda x: jnp.sin(x) + 1).lower(x).compile().as_text())
    assert one_pass.hbm == 2 * 4 * 2**20

    def row(i, x):
        return jax.lax.dynamic_update_index_in_dim(x, jnp.sin(x[i]), i, 0)

    text = jax.jit(lambda x: jax.lax.fori_loop(0, 1024, row, x), donate_argnums=0).lower(x).compile().as_text()
    rows = moved(text)
    assert 2 * 4 * 2**20 <= rows.hbm < 8 * 4 * 2**20


def test_the_largest_arrays_are_listed_by_size_with_where_they_are_made():
    def function(x):
        big = jnp.sin(jnp.outer(x, x))
        return big @ big @ x

    text = jax.jit(function).lower(jax.ShapeDtypeStruct((512,), jnp.float32)).compile().as_text()
    (array, made_by), *others = traffic.largest(hlo.parse(text), 3)
    assert (str(array), array.bytes) == ("f32[512,512]", 4 * 512**2)
    assert made_by
    assert all(other.bytes <= array.bytes for other, _ in others)


@pytest.mark.parametrize(
    ("result", "kinds", "size", "in_hbm"),
    [
        ("bf16[16,512,6400]{2,1,0:T(8,128)(2,1)S(1)}", ["bf16[16,512,6400]"], 2 * 16 * 512 * 6400, 0),
        ("(f32[2,3]{1,0}, (u32[], s8[5]{0}))", ["f32[2,3]", "u32[]", "s8[5]"], 33, 33),
        ("s4[3]{0}", ["s4[3]"], 2, 2),
        ("f8e4m3fn[4]{0}", ["f8e4m3fn[4]"], 4, 4),
    ],
)
def test_sizes_are_read_as_they_are_printed(result, kinds, size, in_hbm):
    arrays = hlo.arrays(result)
    assert [str(array) for array in arrays] == kinds
    assert sum(array.bytes for array in arrays) == size
    assert sum(array.hbm_bytes for array in arrays) == in_hbm


def test_every_line_of_a_program_is_read():
    text = text_of(nested)
    program = hlo.parse(text)
    lines = re.findall(r"^\s+(?:ROOT )?%[\w.\-]+ = ", text, re.MULTILINE)
    assert sum(map(len, program.computations.values())) == len(lines) > 0
    assert sum(i.is_root for c in program.computations.values() for i in c.values()) == len(program.computations)
    assert program.entry in program.computations
    assert functools.reduce(max, map(len, program.computations.values())) > 1
