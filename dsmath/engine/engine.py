"""The engine: a `Generator` (dsmath.text.generator) on this host's devices."""

import contextlib
import dataclasses
import functools
from collections.abc import Collection, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from dsmath import sharding
from dsmath.config import Arch
from dsmath.engine import device, sampling
from dsmath.engine.slots import Lease, Seat, Slots
from dsmath.engine.stops import Watch, cut
from dsmath.error import UserError
from dsmath.model import cache as caches
from dsmath.model import decoder
from dsmath.model.cache import Cache
from dsmath.records import Piece, Source, Stop
from dsmath.sharding import DECODING
from dsmath.text.codec import Codec, TokenCodec
from dsmath.text.generator import Completion, Request, Sampling
from dsmath.text.template import Special
from dsmath.text.tokenizer import Tokenizer

LANE = 32  # tokens of a lane of an extension
LANES = (1, 4, 16)  # lanes per dispatch: a program each
SHORTEST_CACHE = 256  # tokens per slot; the cache grows from here over 384, 512, 768, 1024, ...


@dataclasses.dataclass
class _Flight:
    """A dispatch whose results were not read yet."""

    fresh: set[Lease]  # these got their first token, by an extension
    decoded: list[Lease]  # all that ran
    first_B: jax.Array  # by slot: last tokens before decoding
    out_TB: jax.Array  # by slot: tokens that were decoded, -1 for none


class Engine:
    """Continuous batching. `params` are unstacked; with a mesh they are placed on it.

    `end_tokens` end a generation, `cache_length` is the most tokens that a slot holds, `decode_steps` how many are
    decoded per dispatch. The device computes while the host reads the texts of the dispatch before.
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
        self._decode_steps, self._mesh = decode_steps, mesh
        self._slots = Slots(slots, cache_length)
        self._split = 1 if mesh is None else mesh.shape["data"] * mesh.shape["fsdp"]  # lanes come in multiples of it
        self._watches: dict[Lease, Watch] = {}
        self._flight: _Flight | None = None
        self._dtype = dtype
        self.load(params)
        self._cache = self._empty_cache()
        self._token_B = jnp.zeros(slots, jnp.int32)
        self._compile()

    def load(self, params: decoder.Params) -> None:
        """Take other parameters of the same architecture; nothing is compiled again. Raises RuntimeError if not idle.

        What is held was computed with the old ones, and is forgotten.
        """
        if not self._slots.idle:
            raise RuntimeError("new parameters while sequences are generated; expected an idle engine")
        self._slots.forget()
        params = decoder.cast(params, self._dtype)
        if self._mesh is None:
            self._params = jax.device_put(params)
        else:
            self._params = sharding.place(params, decoder.unstacked_axes(self._arch), self._mesh, DECODING)

    def submit(self, request: Request) -> None:
        """Queue a request. Raises UserError if it can never fit: the ids are longer than the cache.

        Special tokens of its `stop` must be among the engine's `end_tokens`; ValueError if they aren't.
        """
        if missing := self._stop_ids(request) - set(self._ends):
            raise ValueError(f"request {request.id!r} stops at {sorted(missing)}; the engine ends at {self._ends}")
        self._slots.submit(request)

    def release(self, id: str) -> None:
        """Let go of a held sequence."""
        self._slots.release(id)

    @property
    def idle(self) -> bool:
        """Whether no request is queued or running (held sequences don't count)."""
        return self._slots.idle

    def poll(self) -> list[Completion]:
        """Read what the device did, give it its next work, then see to the texts of what was read."""
        news = self._read()
        with contextlib.nullcontext() if self._mesh is None else jax.set_mesh(self._mesh):
            self._dispatch()
        return [done for seat, ids, over in news if (done := self._completion(seat, ids, over)) is not None]

    def _read(self) -> list[tuple[Seat, list[int], bool]]:
        """Wait for the dispatch in flight -> per generation that goes on its new ids, and whether they are its last."""
        if self._flight is None:
            return []
        flight, self._flight = self._flight, None
        first_B, out_TB = jax.device_get((flight.first_B, flight.out_TB))
        news = []
        for lease in flight.decoded:
            seat = self._slots.holder(lease)
            if seat is None:  # a stop text had ended it while the dispatch ran
                continue
            out_T = out_TB[:, lease.slot]
            ids = [int(first_B[lease.slot])] * (lease in flight.fresh) + out_T[out_T >= 0].tolist()
            seat.ids.extend(ids)
            over = len(seat.ids) == seat.budget or seat.ids[-1] in self._ends
            if over:
                self._slots.finish(seat)
            news.append((seat, ids, over))
        return news

    def _dispatch(self) -> None:
        """Start the extension of what can be admitted, and the next tokens of everything that runs."""
        seated = self._slots.admit()
        if not self._slots.running:
            return
        self._fit()
        for seat in seated:
            self._watches[seat.lease] = Watch(self._tokenizer, _texts(seat.request))
        for lanes, draws in self._lanes(seated):
            self._cache, self._token_B = self._extend(self._params, self._cache, self._token_B, lanes, draws)
        seats = [self._slots.running.get(slot) for slot in range(self._slots.count)]
        first_B = self._token_B
        self._cache, self._token_B, out_TB = self._decode(
            self._params,
            self._cache,
            first_B,
            np.array([0 if s is None else s.length - bool(s.ids) for s in seats], np.int32),
            np.array([0 if s is None else s.budget - max(len(s.ids), 1) for s in seats], np.int32),
            sampling.draws([None if s is None else (s.request.sampling, s.request.id) for s in seats]),
        )
        self._flight = _Flight(
            fresh={s.lease for s in seated}, decoded=[s.lease for s in seats if s], first_B=first_B, out_TB=out_TB
        )

    def _lanes(self, seated: list[Seat]) -> Iterator[tuple[device.Lanes, sampling.Draws | None]]:
        """What the cache lacks of the seated requests, cut into lanes, and these into dispatches of few sizes."""
        cuts = [(seat, start) for seat in seated for start in range(seat.shared, len(seat.request.ids), LANE)]
        while cuts:
            size = self._split * next(n for n in LANES if n * self._split >= len(cuts) or n == LANES[-1])
            part, cuts = cuts[:size], cuts[size:]
            lanes = device.Lanes(
                tokens_BT=np.zeros((size, LANE), np.int32),
                slot_B=np.full(size, self._slots.count, np.int32),
                start_B=np.zeros(size, np.int32),
                last_B=np.full(size, -1, np.int32),
            )
            for i, (seat, start) in enumerate(part):
                ids = seat.request.ids[start : start + LANE]
                lanes.tokens_BT[i, : len(ids)] = ids
                lanes.slot_B[i] = seat.lease.slot
                lanes.start_B[i] = start
                if start + len(ids) == len(seat.request.ids):
                    lanes.last_B[i] = len(ids) - 1
            rows: list[tuple[Sampling, str] | None] = [(seat.request.sampling, seat.request.id) for seat, _ in part]
            yield lanes, sampling.draws(rows + [None] * (size - len(part)))

    def _fit(self) -> None:
        """Give the cache the shortest length of the ladder that holds the next dispatch; attention sweeps all of it."""
        needed = self._slots.needed(self._decode_steps)
        length = caches.length(self._cache)
        if needed > length or self._rung(needed + needed // 4) < length:
            self._cache = self._resize(self._cache, length=self._rung(needed))

    def _rung(self, needed: int) -> int:
        length = SHORTEST_CACHE
        while length < needed:
            length += length // 2 if length & (length - 1) == 0 else length // 3
        return min(length, self._slots.length)

    def _completion(self, seat: Seat, new: list[int], over: bool) -> Completion | None:
        """What a generation came to, if it is over or has met a stop text."""
        ended = seat.ids[-1] in self._ends
        stopped = self._watches[seat.lease].extend(new)
        if not over and not stopped:
            return None
        if not over:
            self._slots.finish(seat)
        del self._watches[seat.lease]
        ids, text, tail, stopped = cut(self._tokenizer, seat.ids[: len(seat.ids) - ended], _texts(seat.request))
        end: tuple[int, ...] = ()
        if stopped:
            stop = Stop.TEXT
        elif ended:
            end = (seat.ids[-1],)
            stop = Stop.TEXT if seat.ids[-1] in self._stop_ids(seat.request) else Stop.END
        else:
            stop = Stop.LENGTH
        piece = Piece(Source.MODEL, text, ids + self._tokenizer.encode(tail))
        return Completion(id=seat.request.id, piece=piece, end=end, stop=stop)

    def _stop_ids(self, request: Request) -> set[int]:
        return {self._tokenizer.special(stop.name) for stop in request.stop if isinstance(stop, Special)}

    def _empty_cache(self) -> Cache:
        cache = caches.empty(self._arch, self._slots.count, self._rung(1), self._dtype)
        if self._mesh is not None:
            cache = sharding.place(cache, caches.axes(self._arch), self._mesh, DECODING)
        return cache

    def _compile(self) -> None:
        """Bind what is static. With a mesh the cache keeps its sharding from program to program."""
        arch, mesh = self._arch, self._mesh
        kept, whole = None, None
        if mesh is not None:
            kept = sharding.shardings(caches.axes(arch), mesh, DECODING)
            whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        extend = functools.partial(device.extend, arch=arch)
        decode = functools.partial(device.decode, arch=arch, steps=self._decode_steps, ends=self._ends)
        self._extend = jax.jit(extend, donate_argnums=1, out_shardings=(kept, whole))
        self._decode = jax.jit(decode, donate_argnums=1, out_shardings=(kept, whole, whole))
        self._resize = jax.jit(caches.resize, static_argnames="length", out_shardings=kept)


def _texts(request: Request) -> list[str]:
    return [stop for stop in request.stop if isinstance(stop, str)]
