"""The scheduler of slots: which request goes where, and how much of it is in the cache already. Plain Python, no jax.

A generation has a lease (slot, turn). The turn grows with each generation of a slot, so what the device made for a past
one is known by its lease and dropped.
"""

import dataclasses
from collections import deque

from dsmath.error import UserError
from dsmath.text.generator import Request

PATIENCE = 2  # admissions for which a held slot is spared while requests wait; most programs end within one


@dataclasses.dataclass(frozen=True)
class Lease:
    """The right of one generation to a slot."""

    slot: int
    turn: int


@dataclasses.dataclass
class Seat:
    """A generation that has a slot."""

    lease: Lease
    request: Request
    shared: int  # leading tokens of the request that the cache held already
    budget: int  # tokens that may be generated: what was asked for, or what fits
    ids: list[int] = dataclasses.field(default_factory=list)  # generated so far

    @property
    def length(self) -> int:
        """Tokens of the sequence. The last one generated is not in the cache."""
        return len(self.request.ids) + len(self.ids)


@dataclasses.dataclass
class _Hold:
    """A slot that is kept for a later request."""

    slot: int
    cached: tuple[int, ...]  # tokens in its cache
    spared: int = 0  # admissions in which others had to wait


class Slots:
    """Queue, leases and holds of `count` slots of `length` tokens each.

    A hold is a promise to save work, no more: it gives way to a request that waits, once it has been spared PATIENCE
    times, or at once where nothing runs. What it held is then computed again.
    """

    def __init__(self, count: int, length: int):
        self.count = count
        self.length = length
        self.running: dict[int, Seat] = {}  # by slot
        self._queue: deque[Request] = deque()
        self._held: dict[str, _Hold] = {}  # by request id, the first one held first
        self._free = list(reversed(range(count)))
        self._turns = [0] * count

    def submit(self, request: Request) -> None:
        """Queue a request. Raises UserError if it can never fit, ValueError if its id is still generating."""
        if len(request.ids) + 1 > self.length:
            raise UserError(
                f"request {request.id!r} has {len(request.ids)} tokens, but a slot's cache holds {self.length} and "
                f"one is needed to answer; raise config.eval.cache_length to {len(request.ids) + 1} or more"
            )
        if not request.ids or request.max_new < 1:
            raise ValueError(
                f"request {request.id!r}: {len(request.ids)} ids, max_new {request.max_new}; both must be > 0"
            )
        if self._find(request.id) is not None:
            raise ValueError(f"request {request.id!r} is still generating; poll until it has ended")
        self._queue.append(request)

    def admit(self) -> list[Seat]:
        """Seat what can be seated: first the sequences that hold a slot, then others in order of submission."""
        waiting: deque[Request] = deque()
        seated: list[Seat] = []
        for request in sorted(self._queue, key=lambda r: r.id not in self._held):
            if request.id in self._held:
                hold = self._held.pop(request.id)
                slot, cached = hold.slot, hold.cached
            elif (free := self._take_free()) is not None:
                slot, cached = free, ()
            else:
                waiting.append(request)
                continue
            self._turns[slot] += 1
            seat = Seat(
                lease=Lease(slot, self._turns[slot]),
                request=request,
                shared=_shared(cached, request.ids[:-1]),
                budget=min(request.max_new, self.length - len(request.ids)),
            )
            self.running[slot] = seat
            seated.append(seat)
        self._queue = waiting
        if waiting:
            for hold in self._held.values():
                hold.spared += 1
        return seated

    def _take_free(self) -> int | None:
        """A slot that is free, or one that was held for long enough."""
        if self._free:
            return self._free.pop()
        for id, hold in self._held.items():
            if hold.spared >= PATIENCE or not self.running:
                return self._held.pop(id).slot
        return None

    def holder(self, lease: Lease) -> Seat | None:
        """The generation of a lease, None once it is over."""
        seat = self.running.get(lease.slot)
        return seat if seat is not None and seat.lease == lease else None

    def finish(self, seat: Seat) -> None:
        """End a generation: its slot is free, or held for what goes on from it."""
        del self.running[seat.lease.slot]
        if seat.request.hold:
            self._held[seat.request.id] = _Hold(seat.lease.slot, (seat.request.ids + tuple(seat.ids))[:-1])
        else:
            self._free.append(seat.lease.slot)

    def release(self, id: str) -> None:
        """Let go of what is held for `id`, now or when its generation ends."""
        if id in self._held:
            self._free.append(self._held.pop(id).slot)
        match self._find(id):
            case Seat() as seat:
                seat.request = dataclasses.replace(seat.request, hold=False)
            case Request() as request:
                self._queue[self._queue.index(request)] = dataclasses.replace(request, hold=False)

    def forget(self) -> None:
        """Let go of all that is held; what goes on from it is computed anew."""
        for id in list(self._held):
            self.release(id)

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or running."""
        return not self._queue and not self.running

    def needed(self, more: int) -> int:
        """Tokens a slot must have room for, if every generation may go on by `more` tokens."""
        running = (min(s.length + more, len(s.request.ids) + s.budget) for s in self.running.values())
        held = (len(hold.cached) for hold in self._held.values())
        return max([*running, *held], default=0)

    def _find(self, id: str) -> Seat | Request | None:
        found = [s for s in self.running.values() if s.request.id == id] + [r for r in self._queue if r.id == id]
        return found[0] if found else None


def _shared(cached: tuple[int, ...], ids: tuple[int, ...]) -> int:
    """How many leading ids are the same."""
    for i, (a, b) in enumerate(zip(cached, ids, strict=False)):
        if a != b:
            return i
    return min(len(cached), len(ids))
