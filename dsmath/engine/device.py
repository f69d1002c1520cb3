"""The device program of the engine: a pure function over a pool of pages. `Engine` jits it and donates the pool.

A dispatch first takes known tokens, in groups of lanes, each group with one token of every sequence that decodes in the
same products; then it decodes. How many groups and steps there are is decided as it runs, so that one compiled program
serves them all.
"""

import functools
from collections.abc import Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dsmath import sharding
from dsmath.config import Arch
from dsmath.engine import sampling
from dsmath.engine.scheduler import Shape
from dsmath.model import decoder
from dsmath.model.paged import NO_PAGE, Paged, Pool, Spans, axes
from dsmath.sharding import DECODING

NOTHING = -1  # among tokens: none was generated
BROKEN = -2  # among tokens: the logits are no numbers


class State(NamedTuple):
    """By row (axis B), the sequence that it decodes."""

    token_B: jax.Array  # the last one, which is not yet in the pages
    length_B: jax.Array  # tokens in the pages
    left_B: jax.Array  # tokens that may still be generated; 0 for a row that is nobody's


class Lanes(NamedTuple):
    """Stretches of known tokens (axis W)."""

    tokens_WT: np.ndarray
    row_W: np.ndarray  # past the last one for a lane that is not used
    start_W: np.ndarray  # tokens of the sequence before the lane
    last_W: np.ndarray  # index in the lane of the last token that is known; -1 where another lane follows
    left_W: np.ndarray  # tokens that may be generated after the first


class Orders(NamedTuple):
    """What a dispatch is to do."""

    table_BP: np.ndarray  # the pages of each row
    halted_B: np.ndarray  # rows whose sequence is gone
    lanes: Lanes  # those of the groups, then those that go alone
    groups: int  # of lanes, that are used
    singles: int  # lanes that go alone
    steps: int  # that are decoded after these


def program(
    arch: Arch, paged: Paged, shape: Shape, ends: Collection[int], mesh: jax.sharding.Mesh | None
) -> jax.stages.Wrapped:
    """`dispatch` for so much at a time, jitted; pool and state are donated, and keep their sharding on a mesh."""
    bound = functools.partial(dispatch, arch=arch, paged=paged, shape=shape, ends=ends)
    kept, whole = placed(arch, paged, mesh)
    return jax.jit(bound, donate_argnums=(1, 2), out_shardings=(kept, whole, whole))


def placed(arch: Arch, paged: Paged, mesh: jax.sharding.Mesh | None) -> tuple[Any, Any]:
    """How a pool lies on a mesh, and all else that a program works on, but for the parameters."""
    if mesh is None:
        return None, None
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return sharding.shardings(axes(paged, arch), mesh, DECODING), whole


def nothing(rows: int, pages: int, shape: Shape) -> Orders:
    """Orders to do nothing, with tables of so many pages: to be filled in."""
    lanes = Lanes(
        tokens_WT=np.zeros((shape.lanes, shape.lane), np.int32),
        row_W=np.full(shape.lanes, rows, np.int32),
        start_W=np.zeros(shape.lanes, np.int32),
        last_W=np.full(shape.lanes, -1, np.int32),
        left_W=np.zeros(shape.lanes, np.int32),
    )
    return Orders(np.full((rows, pages), NO_PAGE, np.int32), np.zeros(rows, bool), lanes, 0, 0, 0)


def start(rows: int) -> State:
    """Rows that are nobody's."""
    return State(*(jnp.zeros(rows, jnp.int32) for _ in State._fields))


def dispatch(
    params: decoder.Params,
    pool: Pool,
    state: State,
    orders: Orders,
    draws: sampling.Draws | None,
    *,
    arch: Arch,
    paged: Paged,
    shape: Shape,
    ends: Collection[int],
) -> tuple[Pool, State, jax.Array]:
    """Follow the orders -> the pool, the rows, and by group or step what each row generated [shape.horizon, B].

    `shape` is the most that orders may ask for. A row stands still once its last token is one of `ends` or BROKEN, or
    nothing is left: then it generates NOTHING. Whether it does follows from what the row holds now, so that nothing of
    a past occupant can stop it.
    """
    table_BP, rows = orders.table_BP, orders.table_BP.shape[0]

    def alive(state: State) -> jax.Array:
        return (state.left_B > 0) & (state.token_B >= 0) & ~jnp.isin(state.token_B, jnp.array(ends, jnp.int32))

    def step(pool: Pool, state: State, group: Lanes | None) -> tuple[Pool, State, jax.Array]:
        alive_B = alive(state)
        table, begin = jnp.asarray(table_BP), jnp.where(alive_B, state.length_B, 0)
        tokens, position, row, live, runs = state.token_B, state.length_B + 1, jnp.arange(rows), alive_B, [(rows, 1)]
        if group is not None:
            table = jnp.concatenate([table, table.at[group.row_W].get(mode="clip")])
            begin = jnp.concatenate([begin, group.start_W])
            tokens = jnp.concatenate([tokens, group.tokens_WT.reshape(-1)])
            position = jnp.concatenate([position, group.start_W + group.last_W + 1])
            row = jnp.concatenate([row, group.row_W])
            live = jnp.concatenate([live, group.row_W < rows])
            runs.append(group.tokens_WT.shape)
        spans = Spans(table, begin, live, tuple(runs))
        hidden_TD, pool = decoder.extend(params, tokens, spans, pool, arch=arch, paged=paged)
        if group is not None:
            width, length = group.tokens_WT.shape
            last_W = rows + jnp.arange(width) * length + jnp.maximum(group.last_W, 0)
            hidden_TD = jnp.concatenate([hidden_TD[:rows], hidden_TD[last_W]])
        logits = decoder.logits(params, hidden_TD)
        new = sampling.sample(logits, jax.tree.map(lambda x: x.at[row].get(mode="clip"), draws), position)
        new = jnp.where(jnp.isfinite(jnp.max(logits, axis=-1)), new, BROKEN)
        state = State(jnp.where(alive_B, new[:rows], state.token_B), state.length_B + alive_B, state.left_B - alive_B)
        out_B = jnp.where(alive_B, new[:rows], NOTHING)
        if group is not None:
            ready_W = jnp.where(group.last_W >= 0, group.row_W, rows)
            fresh = State(new[rows:], position[rows:], jnp.asarray(group.left_W))
            state = State(*(x.at[ready_W].set(y, mode="drop") for x, y in zip(state, fresh, strict=True)))
            out_B = out_B.at[ready_W].set(new[rows:], mode="drop")
        return pool, state, out_B

    def take(first, width, carry):
        i, pool, state, out_TB = carry
        group = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(jnp.asarray(x), first(i), width), orders.lanes)
        pool, state, out_B = step(pool, state, group)
        return i + 1, pool, state, out_TB.at[i].set(out_B)

    def take_group(carry):
        return take(lambda i: i * shape.width, shape.width, carry)

    def take_single(carry):
        return take(lambda i: orders.groups * (shape.width - 1) + i, 1, carry)

    def decode(carry):
        i, pool, state, out_TB = carry
        pool, state, out_B = step(pool, state, None)
        return i + 1, pool, state, out_TB.at[i].set(out_B)

    def decodes(carry):
        i, _, state, _ = carry
        return (i < orders.groups + orders.singles + orders.steps) & jnp.any(alive(state))

    state = state._replace(left_B=jnp.where(orders.halted_B, 0, state.left_B))
    carry = jnp.int32(0), pool, state, jnp.full((shape.horizon, rows), NOTHING, jnp.int32)
    carry = jax.lax.while_loop(lambda carry: carry[0] < orders.groups, take_group, carry)
    if shape.singles:
        carry = jax.lax.while_loop(lambda carry: carry[0] < orders.groups + orders.singles, take_single, carry)
    _, pool, state, out_TB = jax.lax.while_loop(decodes, decode, carry)
    return pool, state, out_TB
