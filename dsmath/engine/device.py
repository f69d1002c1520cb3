"""The device program of the engine: a pure function over a pool of pages. `Engine` jits it and donates the pool.

A dispatch first takes known tokens, in groups of lanes, each group with one token of every sequence that decodes in the
same products; then it decodes. How many groups and steps there are is decided as it runs, so that one compiled program
serves them all.
"""

from collections.abc import Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dsmath.config import Arch
from dsmath.engine import sampling
from dsmath.model import decoder
from dsmath.model.paged import Paged, Pool, Spans

NOTHING = -1  # among tokens: none was generated
BROKEN = -2  # among tokens: the logits are no numbers


class State(NamedTuple):
    """By row (axis B), the sequence that it decodes."""

    token_B: jax.Array  # the last one, which is not yet in the pages
    length_B: jax.Array  # tokens in the pages
    left_B: jax.Array  # tokens that may still be generated; 0 for a row that is nobody's


class Lanes(NamedTuple):
    """Stretches of known tokens (axis W), in groups (axis G)."""

    tokens_GWT: np.ndarray
    row_GW: np.ndarray  # past the last one for a lane that is not used
    start_GW: np.ndarray  # tokens of the sequence before the lane
    last_GW: np.ndarray  # index in the lane of the last token that is known; -1 where another lane follows
    left_GW: np.ndarray  # tokens that may be generated after the first


class Orders(NamedTuple):
    """What a dispatch is to do."""

    table_BP: np.ndarray  # the pages of each row
    halted_B: np.ndarray  # rows whose sequence is gone
    lanes: Lanes
    groups: int  # of lanes, that are used
    steps: int  # that are decoded after these


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
    steps: int,
    ends: Collection[int],
) -> tuple[Pool, State, jax.Array]:
    """Follow the orders -> the pool, the rows, and by step what each row generated [G + steps, B].

    `steps` are the most that orders may ask for. A row stands still once its last token is one of `ends` or BROKEN, or
    nothing is left: then it generates NOTHING. Whether it does follows from what the row holds now, so that nothing of
    a past occupant can stop it.
    """
    table_BP, lanes = orders.table_BP, orders.lanes
    groups, width, length = lanes.tokens_GWT.shape
    rows = table_BP.shape[0]

    def alive(state: State) -> jax.Array:
        return (state.left_B > 0) & (state.token_B >= 0) & ~jnp.isin(state.token_B, jnp.array(ends, jnp.int32))

    def step(pool: Pool, state: State, group: Lanes | None) -> tuple[Pool, State, jax.Array]:
        alive_B = alive(state)
        table, begin = jnp.asarray(table_BP), jnp.where(alive_B, state.length_B, 0)
        tokens, position, row, live, runs = state.token_B, state.length_B + 1, jnp.arange(rows), alive_B, [(rows, 1)]
        if group is not None:
            table = jnp.concatenate([table, table.at[group.row_GW].get(mode="clip")])
            begin = jnp.concatenate([begin, group.start_GW])
            tokens = jnp.concatenate([tokens, group.tokens_GWT.reshape(-1)])
            position = jnp.concatenate([position, group.start_GW + group.last_GW + 1])
            row = jnp.concatenate([row, group.row_GW])
            live = jnp.concatenate([live, group.row_GW < rows])
            runs.append((width, length))
        spans = Spans(table, begin, live, tuple(runs))
        hidden_TD, pool = decoder.extend(params, tokens, spans, pool, arch=arch, paged=paged)
        if group is not None:
            last_W = rows + jnp.arange(width) * length + jnp.maximum(group.last_GW, 0)
            hidden_TD = jnp.concatenate([hidden_TD[:rows], hidden_TD[last_W]])
        logits = decoder.logits(params, hidden_TD)
        new = sampling.sample(logits, jax.tree.map(lambda x: x.at[row].get(mode="clip"), draws), position)
        new = jnp.where(jnp.isfinite(jnp.max(logits, axis=-1)), new, BROKEN)
        state = State(jnp.where(alive_B, new[:rows], state.token_B), state.length_B + alive_B, state.left_B - alive_B)
        out_B = jnp.where(alive_B, new[:rows], NOTHING)
        if group is not None:
            ready_W = jnp.where(group.last_GW >= 0, group.row_GW, rows)
            fresh = State(new[rows:], position[rows:], jnp.asarray(group.left_GW))
            state = State(*(x.at[ready_W].set(y, mode="drop") for x, y in zip(state, fresh, strict=True)))
            out_B = out_B.at[ready_W].set(new[rows:], mode="drop")
        return pool, state, out_B

    def take(carry):
        i, pool, state, out_TB = carry
        group = Lanes(*(jax.lax.dynamic_index_in_dim(x, i, keepdims=False) for x in map(jnp.asarray, lanes)))
        pool, state, out_B = step(pool, state, group)
        return i + 1, pool, state, out_TB.at[i].set(out_B)

    def decode(carry):
        i, pool, state, out_TB = carry
        pool, state, out_B = step(pool, state, None)
        return i + 1, pool, state, out_TB.at[i].set(out_B)

    def decodes(carry):
        i, _, state, _ = carry
        return (i < orders.groups + orders.steps) & jnp.any(alive(state))

    state = state._replace(left_B=jnp.where(orders.halted_B, 0, state.left_B))
    carry = jnp.int32(0), pool, state, jnp.full((groups + steps, rows), NOTHING, jnp.int32)
    carry = jax.lax.while_loop(lambda carry: carry[0] < orders.groups, take, carry)
    _, pool, state, out_TB = jax.lax.while_loop(decodes, decode, carry)
    return pool, state, out_TB
