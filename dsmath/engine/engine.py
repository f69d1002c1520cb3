"""The engine: a `Generator` (dsmath.text.generator) on this host's devices."""

import contextlib
import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dsmath import sharding
from dsmath.config import Arch
from dsmath.engine import device, sampling
from dsmath.engine.pages import Pages
from dsmath.engine.scheduler import Plan, Scheduler, Sequence, Shape
from dsmath.engine.stops import Watch, cut
from dsmath.error import UserError
from dsmath.model import decoder, paged
from dsmath.model.paged import Pool
from dsmath.records import Piece, Source, Stop
from dsmath.sharding import DECODING
from dsmath.text.codec import Codec, TokenCodec
from dsmath.text.generator import Completion, Request
from dsmath.text.template import Part, Special
from dsmath.text.tokenizer import Tokenizer

LANE = 32  # tokens of a lane
KNOWN = 2048  # known tokens that a dispatch takes at most
COPIES = 32  # of pages, that one program makes


@dataclasses.dataclass(frozen=True)
class Pace:
    """How a platform likes its dispatches."""

    width: int  # lanes of a group: enough rows for its matrix units, few enough to be filled
    singles: int  # lanes that had better go alone than in a group; 0 where what fills a group costs nothing
    ahead: int  # dispatches begun before the one before is read; on a CPU, host and device are the same
    typical: int | None  # tokens a slot beyond which a pool needn't grow; a CPU's is the host's own memory


PACES = {"cpu": Pace(width=8, singles=4, ahead=0, typical=1024)}
ACCELERATOR = Pace(width=16, singles=0, ahead=1, typical=None)


def pace_of(platform: str) -> Pace:
    """The pace of a platform by jax's name for it."""
    return PACES.get(platform, ACCELERATOR)


def shape_of(pace: Pace, decode_steps: int) -> Shape:
    """What a dispatch takes at most at a pace."""
    return Shape(KNOWN // LANE // pace.width, pace.width, pace.singles, LANE, decode_steps)


def pool_pages(slots: int, cache_length: int, size: int, pace: Pace, *, pool_bytes: int | None, page_bytes: int) -> int:
    """Pages of a pool: as many as the slots will ask for, in `pool_bytes` of each device, if that is given.

    Raises UserError where they don't hold one sequence of `cache_length` tokens.
    """
    longest = -(-cache_length // size)
    pages = max(longest, slots * min(longest, (pace.typical or cache_length) // size))
    if pool_bytes is not None:
        pages = min(pages, pool_bytes // page_bytes)
    if pages < longest:
        raise UserError(
            f"config.eval.pool_share leaves room for {pages * size} tokens of keys and values, but a sequence may "
            f"have {cache_length}; raise it, lower config.eval.cache_length, or split the weights over more devices"
        )
    return pages


@dataclasses.dataclass
class _Flight:
    """A dispatch whose results were not read yet."""

    rows: list[tuple[Sequence, int]]
    out_TB: jax.Array


class _Programs(NamedTuple):
    """What is compiled: see dsmath/engine/device.py and `paged.copy`."""

    dispatch: Callable[..., tuple[Pool, device.State, jax.Array]]
    copy: Callable[[Pool, np.ndarray, np.ndarray], Pool]


class Engine:
    """Continuous batching on a paged cache. `params` are unstacked; with a mesh they are placed on it.

    `end_tokens` end a generation, `slots` sequences are decoded at a time, each of at most `cache_length` tokens;
    `decode_steps` tokens are decoded per dispatch. The pool of pages takes `pool_bytes` of each device, or less where
    the slots won't ask for so many, which is the default. The device computes while the host reads texts and, on
    accelerators, while it prepares the next dispatch.
    """

    def __init__(
        self,
        params: decoder.Params,
        arch: Arch,
        tokenizer: Tokenizer,
        *,
        end_tokens: Collection[int],
        slots: int,
        cache_length: int,
        decode_steps: int,
        pool_bytes: int | None = None,
        page_tokens: int | None = None,
        ahead: int | None = None,
        mesh: jax.sharding.Mesh | None = None,
        dtype: jax.typing.DTypeLike = jnp.float32,
    ):
        if cache_length > arch.max_positions:
            raise UserError(
                f"config.eval.cache_length is {cache_length}, but the model has {arch.max_positions} positions; "
                f"set it to at most {arch.max_positions}"
            )
        self.codec: Codec = TokenCodec(tokenizer)
        self._arch, self._tokenizer, self._ends = arch, tokenizer, tuple(sorted(end_tokens))
        self._mesh, self._dtype = mesh, dtype
        platform = jax.default_backend() if mesh is None else mesh.devices.flat[0].platform
        pace, parts = pace_of(platform), 1 if mesh is None else mesh.shape["tensor"]
        self._paged = paged.by_platform(platform, arch, parts)
        size = page_tokens or self._paged.page_tokens
        self._width = -(-cache_length // size)  # of tables
        one = paged.page_bytes(self._paged, arch, size, dtype) // parts
        pages = pool_pages(slots, cache_length, size, pace, pool_bytes=pool_bytes, page_bytes=one)
        self._scheduler = Scheduler(Pages(pages, size), shape_of(pace, decode_steps), rows=slots, length=cache_length)
        self._ahead = pace.ahead if ahead is None else ahead
        self._watches: dict[int, Watch] = {}  # by age
        self._flights: deque[_Flight] = deque()
        self._slots = slots
        self.load(params)
        self._programs, self._pool, self._state = self._compile(pages, size)

    def load(self, params: decoder.Params) -> None:
        """Take other parameters of the same architecture; nothing is compiled again. Raises RuntimeError if not idle.

        What is held was computed with the old ones, and is forgotten.
        """
        if not self.idle:
            raise RuntimeError("new parameters while sequences are generated; expected an idle engine")
        self._scheduler.forget()
        params = decoder.cast(params, self._dtype)
        if self._mesh is None:
            self._params = jax.device_put(params)
        else:
            self._params = sharding.place(params, decoder.unstacked_axes(self._arch), self._mesh, DECODING)

    def submit(self, request: Request) -> None:
        """Queue a request. Raises UserError if it can never fit: the ids are longer than the cache.

        Special tokens of its `stop` and `ends` must be among the engine's `end_tokens`; ValueError if they aren't.
        """
        if missing := self._ids(request.stop + request.ends) - set(self._ends):
            raise ValueError(f"request {request.id!r} stops at {sorted(missing)}; the engine ends at {self._ends}")
        self._scheduler.submit(request)

    def release(self, id: str) -> None:
        """Let go of a held sequence."""
        self._scheduler.release(id)

    @property
    def idle(self) -> bool:
        """Whether no request is queued or running (held sequences don't count)."""
        return self._scheduler.idle

    @property
    def pool_use(self) -> float:
        """The share of the pages that sequences use."""
        return self._scheduler.pages.used

    def poll(self) -> list[Completion]:
        """Read what the device did, give it its next work, then see to the texts of what was read."""
        news = self._read() if len(self._flights) > self._ahead else []
        if not self._dispatch() and not news and self._flights:
            news = self._read()
        return [done for sequence, ids in news if (done := self._completion(sequence, ids)) is not None]

    def _read(self) -> list[tuple[Sequence, list[int]]]:
        """Wait for the oldest dispatch in flight -> per generation that goes on its new ids."""
        flight = self._flights.popleft()
        out_TB = jax.device_get(flight.out_TB)
        news = []
        for sequence, row in flight.rows:
            sequence.flights -= 1
            if sequence.over:  # a stop text had ended it while the dispatch ran
                continue
            ids = [int(id) for id in out_TB[:, row] if id != device.NOTHING]
            if device.BROKEN in ids:
                raise UserError(
                    f"the model's logits after {sequence.length + ids.index(device.BROKEN)} tokens of "
                    f"{sequence.request.id!r} are no numbers; its weights are broken: evaluate those of another step"
                )
            sequence.ids.extend(ids)
            if ids:
                news.append((sequence, ids))
            if self._ended(sequence):
                self._scheduler.finish(sequence)
        return news

    def _ended(self, sequence: Sequence) -> bool:
        return sequence.length == sequence.limit or (bool(sequence.ids) and sequence.ids[-1] in self._ends)

    def _dispatch(self) -> bool:
        """Start what the scheduler plans. Whether there was anything."""
        plan = self._scheduler.plan()
        if plan is None:
            return False
        with contextlib.nullcontext() if self._mesh is None else jax.set_mesh(self._mesh):
            for source_C, target_C in self._copies(plan.copies):
                self._pool = self._programs.copy(self._pool, source_C, target_C)
            self._pool, self._state, out_TB = self._programs.dispatch(
                self._params, self._pool, self._state, self._orders(plan), self._draws()
            )
        rows = [(sequence, sequence.row) for sequence in plan.sequences if sequence.row is not None]
        self._flights.append(_Flight(rows, out_TB))
        return True

    def _copies(self, copies: list[tuple[int, int]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Copies of pages in dispatches of one size."""
        found = []
        for i in range(0, len(copies), COPIES):
            part = copies[i : i + COPIES]
            source_C, target_C = np.array(part + [(0, paged.NO_PAGE)] * (COPIES - len(part)), np.int32).T
            found.append((source_C, target_C))
        return found

    def _orders(self, plan: Plan) -> device.Orders:
        orders = device.nothing(self._slots, self._width, self._scheduler.shape)
        for sequence in self._scheduler.running:
            orders.table_BP[sequence.row, : len(sequence.pages)] = sequence.pages
        orders.halted_B[plan.halted] = True
        lanes = orders.lanes
        for i, (sequence, start, ids, last) in enumerate(itertools.chain(*plan.groups, plan.singles)):
            lanes.tokens_WT[i, : len(ids)] = ids
            lanes.row_W[i] = sequence.row
            lanes.start_W[i] = start
            if last:
                lanes.last_W[i] = len(ids) - 1
                lanes.left_W[i] = sequence.limit - sequence.target - 1
        return orders._replace(groups=len(plan.groups), singles=len(plan.singles), steps=plan.steps)

    def _draws(self) -> sampling.Draws | None:
        by_row = {sequence.row: sequence.request for sequence in self._scheduler.running}
        rows = [by_row.get(row) for row in range(self._slots)]
        return sampling.draws([None if r is None else (r.sampling, r.id) for r in rows])

    def _completion(self, sequence: Sequence, new: list[int]) -> Completion | None:
        """What a generation came to, if it is over or has met a stop text."""
        request = sequence.request
        texts = [stop for stop in request.stop + request.ends if isinstance(stop, str)]
        if sequence.age not in self._watches:
            self._watches[sequence.age] = Watch(self._tokenizer, texts)
        over, stopped = sequence.over, self._watches[sequence.age].extend(new)
        if not over and not stopped:
            return None
        if not over:
            self._scheduler.finish(sequence)
        del self._watches[sequence.age]
        ended = sequence.ids[-1] in self._ends
        ids, text, tail, met = cut(self._tokenizer, sequence.ids[: len(sequence.ids) - ended], texts)
        end: tuple[int, ...] = ()
        if met:
            stop = Stop.TEXT if met in request.stop else Stop.END
        elif ended:
            end = (sequence.ids[-1],)
            stop = Stop.TEXT if sequence.ids[-1] in self._ids(request.stop) else Stop.END
        else:
            stop = Stop.LENGTH
        piece = Piece(Source.MODEL, text, ids + self._tokenizer.encode(tail))
        return Completion(request.id, piece, end, stop, sequence.put_backs)

    def _ids(self, parts: tuple[Part, ...]) -> set[int]:
        """Of special tokens."""
        return {self._tokenizer.special(part.name) for part in parts if isinstance(part, Special)}

    def _compile(self, pages: int, size: int) -> tuple[_Programs, Pool, device.State]:
        """The programs with what is static bound, and what they work on. With a mesh the pool keeps its sharding."""
        arch, ways = self._arch, self._paged
        kept, whole = device.placed(arch, ways, self._mesh)
        programs = _Programs(
            dispatch=device.program(arch, ways, self._scheduler.shape, self._ends, self._mesh),
            copy=jax.jit(paged.copy, donate_argnums=0, out_shardings=kept),
        )
        pool = jax.jit(lambda: paged.pool(ways, arch, pages, size, self._dtype), out_shardings=kept)()
        return programs, pool, jax.device_put(device.start(self._slots), whole)
