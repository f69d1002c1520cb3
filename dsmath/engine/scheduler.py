"""The scheduler: which sequences run, on which pages, and what the next dispatch computes. Plain Python, no jax.

Sequences are served by age, which is the order in which their ids were first submitted. One runs while there are pages
for what it may write. Where they run out, held sequences give up theirs, then the youngest that runs is put back to
where it waits, with what it generated: it is computed again when there is room. The oldest can always go on, so that
none starves.

Dispatches may be planned before the results of those before them are read: what a sequence will have written is known
beforehand, unless it ends.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Iterator
from typing import NamedTuple

from dsmath.engine.pages import Ids, Pages, common
from dsmath.error import UserError
from dsmath.text.generator import Request

PATIENCE = 2  # dispatches for which a held sequence is spared while others wait; most programs end within one
WORTH_WAITING = 32  # tokens to be shared in the next dispatch, when they are written, for which a request waits


class Shape(NamedTuple):
    """How much a dispatch can take at most: what its program is compiled for."""

    groups: int  # of lanes
    width: int  # lanes of a group
    singles: int  # lanes left over that go in a group each, instead of in one that they don't fill
    lane: int  # tokens of a lane
    steps: int  # that are decoded after the groups

    @property
    def lanes(self) -> int:
        """Of all groups."""
        return self.groups * self.width

    @property
    def horizon(self) -> int:
        """Groups and steps, each of which may give a sequence a token."""
        return self.groups - 1 + max(1, self.singles) + self.steps


@dataclasses.dataclass(eq=False)
class Sequence:
    """A generation on its way: it waits, without a row and pages, or runs, with both."""

    request: Request
    age: int
    limit: int  # tokens that it may come to
    ids: list[int] = dataclasses.field(default_factory=list)  # generated and read
    row: int | None = None  # of the device's state
    pages: list[int] = dataclasses.field(default_factory=list)
    target: int = 0  # tokens that were known when it got its row
    reach: int = 0  # tokens in its pages after all that was planned, if it doesn't end before
    flights: int = 0  # dispatches with it that were not read yet
    put_backs: int = 0
    over: bool = False

    @property
    def known(self) -> Ids:
        """Its tokens, as far as they were read. The last one is not in the pages."""
        return self.request.ids + tuple(self.ids)

    @property
    def length(self) -> int:
        """How many these are."""
        return len(self.request.ids) + len(self.ids)

    @property
    def decodes(self) -> bool:
        """Whether its known tokens are in its pages, after all that was planned."""
        return self.row is not None and self.reach >= self.target

    @property
    def ended(self) -> bool:
        """Whether it will be over, one way or the other, after all that was planned."""
        return self.decodes and self.reach + 1 >= self.limit


class Lane(NamedTuple):
    """A stretch of known tokens on the way into a sequence's pages."""

    sequence: Sequence
    start: int  # tokens of the sequence before it
    ids: Ids
    last: bool  # whether the sequence decodes from here on


@dataclasses.dataclass
class Plan:
    """A dispatch: `copies` (from, to) of pages, then lanes in groups and by themselves, each time with a token for all
    that decode, then `steps` tokens for all.
    """

    halted: list[int]  # rows whose sequence is gone
    copies: list[tuple[int, int]]
    groups: list[list[Lane]]
    singles: list[Lane]  # each by itself, after the groups, which then are all full
    steps: int
    sequences: list[Sequence]  # those that may generate in it


@dataclasses.dataclass
class _Hold:
    """Pages that are kept for a later request."""

    age: int
    pages: list[int]
    ids: Ids  # in these pages
    spared: int = 0  # dispatches in which others had to wait


class Scheduler:
    """`rows` sequences at a time, of at most `length` tokens each, on a pool of pages, in dispatches of a shape."""

    def __init__(self, pages: Pages, shape: Shape, *, rows: int, length: int):
        self.pages, self.shape = pages, shape
        self.running: list[Sequence] = []  # by age, as those that wait
        self._length = length
        self._waiting: list[Sequence] = []
        self._held: dict[str, _Hold] = {}  # by request id, the first one held first
        self._free_rows = list(reversed(range(rows)))
        self._halted: list[int] = []
        self._ages = itertools.count()
        if pages.count < self._pages_for(length):
            raise ValueError(f"{pages.count} pages of {pages.size} tokens; expected enough for a sequence of {length}")

    def submit(self, request: Request) -> None:
        """Queue a request. Raises UserError if it can never fit, ValueError if its id is still generating."""
        if not request.ids or request.max_new < 1:
            raise ValueError(
                f"request {request.id!r}: {len(request.ids)} ids, max_new {request.max_new}; both must be > 0"
            )
        if len(request.ids) + 1 > self._length:
            raise UserError(
                f"request {request.id!r} has {len(request.ids)} tokens, but a sequence has room for {self._length} and "
                f"one is needed to answer; raise config.eval.cache_length to {len(request.ids) + 1} or more"
            )
        if self._find(request.id) is not None:
            raise ValueError(f"request {request.id!r} is still generating; poll until it has ended")
        limit = min(len(request.ids) + request.max_new, self._length)
        hold = self._held.pop(request.id, None)
        sequence = Sequence(request, next(self._ages) if hold is None else hold.age, limit)
        if hold is not None:
            sequence.reach = common(hold.ids, request.ids[:-1])
            kept = self._pages_for(sequence.reach)
            sequence.pages = hold.pages[:kept]
            self.pages.release(hold.pages[kept:])
        bisect.insort(self._waiting, sequence, key=_age)

    def release(self, id: str) -> None:
        """Let go of what is held for `id`, now or when its generation ends."""
        if id in self._held:
            self._let_go(id)
        if (sequence := self._find(id)) is not None:
            sequence.request = dataclasses.replace(sequence.request, hold=False)

    def forget(self) -> None:
        """Let go of all that is held and known; what goes on from it is computed anew."""
        for id in list(self._held):
            self._let_go(id)
        self.pages.forget()

    @property
    def idle(self) -> bool:
        """Whether nothing waits or runs."""
        return not self._waiting and not self.running

    def plan(self) -> Plan | None:
        """The next dispatch, None if there is nothing that it could do before others are read."""
        self.pages.written()
        copies: list[tuple[int, int]] = []
        self._grow()
        lanes, width = list(self._lanes(copies)), self.shape.width
        left = len(lanes) % width
        grouped = len(lanes) - left if left <= self.shape.singles else len(lanes)
        groups, singles = [lanes[i : i + width] for i in range(0, grouped, width)], lanes[grouped:]
        turns = [*groups, *([lane] for lane in singles)]
        fresh = {lane.sequence.age: i for i, turn in enumerate(turns, 1) for lane in turn if lane.last}
        sequences = [s for s in self.running if s.age in fresh or (s.decodes and not s.ended)]
        if not sequences and not lanes:
            return None
        for sequence in sequences:
            steps = len(turns) - fresh.get(sequence.age, 0) + self.shape.steps
            sequence.reach = min(sequence.reach + steps, sequence.limit - 1)
            sequence.flights += 1
        halted, self._halted = self._halted, []
        return Plan(halted, copies, groups, singles, self.shape.steps, sequences)

    def finish(self, sequence: Sequence) -> None:
        """End a generation. Its pages are free, or held for what goes on from it."""
        sequence.over = True
        if sequence.row is None:  # put back while it ended
            self._waiting.remove(sequence)
            return
        self._leave_row(sequence)
        if sequence.request.hold:
            known = sequence.known[:-1]
            self.pages.know(sequence.pages, known)
            kept = self._pages_for(len(known))
            self.pages.release(sequence.pages[kept:])
            self._held[sequence.request.id] = _Hold(sequence.age, sequence.pages[:kept], known)
        else:
            self._leave_pages(sequence)

    def _grow(self) -> None:
        """Give all that run pages for what the next dispatch may write; where there are none, the youngest goes."""
        for sequence in list(self.running):
            while sequence.row is not None and (missing := self._missing(sequence, 1)) > 0:
                if self.pages.available >= missing:
                    sequence.pages += self.pages.take(missing)
                elif not self._give_way(at_once=True):
                    self._put_back(self.running[-1])

    def _lanes(self, copies: list[tuple[int, int]]) -> Iterator[Lane]:
        """What the pages lack of known tokens, for all that run and all that can be admitted."""
        left = self.shape.lanes
        sequences = itertools.chain([s for s in self.running if not s.decodes], self._admitted(copies))
        while left and (sequence := next(sequences, None)) is not None:
            known = sequence.known
            while left and not sequence.decodes:
                start = sequence.reach
                sequence.reach = min(start + self.shape.lane, sequence.target)
                yield Lane(sequence, start, known[start : sequence.reach], sequence.decodes)
                left -= 1
            self.pages.know(sequence.pages, known[: sequence.reach])

    def _admitted(self, copies: list[tuple[int, int]]) -> Iterator[Sequence]:
        """Waiting sequences, the oldest first, as they get rows and pages."""
        for sequence in list(self._waiting):
            if not self._free_rows:
                return
            if sequence.flights:  # put back, and what it generated is not read yet
                continue
            matched = not sequence.pages
            if matched:
                pages, length, later = self.pages.match(sequence.known[:-1])
                if later - length > WORTH_WAITING:
                    continue
                for page in pages:
                    self.pages.share(page)
                sequence.pages, sequence.reach = pages, length
            if not self._has_room(sequence):
                if matched:
                    self._leave_pages(sequence)
                for hold in self._held.values():
                    hold.spared += 1
                return
            self._seat(sequence, copies)
            yield sequence

    def _has_room(self, sequence: Sequence) -> bool:
        """Whether there are pages for a sequence's first dispatch, and for the next one of those that run.

        Where nothing runs, there are, once all others have given way.
        """
        sequence.target = sequence.length
        needed = self._missing(sequence, 1) + self._copies_last(sequence)
        reserved = sum(self._missing(s, 2) for s in self.running)
        while self.pages.available < needed + reserved:
            if not self._give_way(at_once=not self.running, besides=sequence):
                return False
        return True

    def _seat(self, sequence: Sequence, copies: list[tuple[int, int]]) -> None:
        """Give a sequence its row and its pages. A page that others use is copied before it is written."""
        if self._copies_last(sequence):
            shared, (own,) = sequence.pages[-1], self.pages.take(1)
            copies.append((shared, own))
            sequence.pages[-1] = own
            self.pages.release([shared])
        elif partial := sequence.reach % self.pages.size:
            self.pages.cut(sequence.pages[-1], partial)
        sequence.pages += self.pages.take(self._missing(sequence, 1))
        self._waiting.remove(sequence)
        sequence.row = self._free_rows.pop()
        bisect.insort(self.running, sequence, key=_age)

    def _copies_last(self, sequence: Sequence) -> bool:
        """Whether a sequence goes on in the middle of a page that others use."""
        return sequence.reach % self.pages.size > 0 and self.pages.is_shared(sequence.pages[-1])

    def _give_way(self, *, at_once: bool, besides: Sequence | None = None) -> bool:
        """Have pages given up that no running sequence needs: those of a held sequence, or of one that goes on from a
        held one and waits. Whether there were any.
        """
        for id, hold in self._held.items():
            if at_once or hold.spared >= PATIENCE:
                self._let_go(id)
                return True
        for sequence in reversed(self._waiting) if at_once else ():
            if sequence.pages and sequence is not besides:
                self._leave_pages(sequence)
                return True
        return False

    def _let_go(self, id: str) -> None:
        self.pages.release(self._held.pop(id).pages)

    def _put_back(self, sequence: Sequence) -> None:
        self._leave_row(sequence)
        self._leave_pages(sequence)
        sequence.put_backs += 1
        bisect.insort(self._waiting, sequence, key=_age)

    def _leave_row(self, sequence: Sequence) -> None:
        assert sequence.row is not None
        self.running.remove(sequence)
        self._free_rows.append(sequence.row)
        self._halted.append(sequence.row)
        sequence.row = None

    def _leave_pages(self, sequence: Sequence) -> None:
        """Give up pages; what they hold stays known while nobody needs the room."""
        known = sequence.known
        self.pages.know(sequence.pages, known[: min(sequence.reach, len(known) - 1)])
        self.pages.release(sequence.pages)
        sequence.pages, sequence.reach = [], 0

    def _missing(self, sequence: Sequence, dispatches: int) -> int:
        """Pages that a sequence lacks for what so many dispatches may write."""
        known = max(sequence.reach, sequence.target)
        reach = min(known + dispatches * self.shape.horizon, sequence.limit - 1)
        return max(0, self._pages_for(reach) - len(sequence.pages))

    def _pages_for(self, tokens: int) -> int:
        return -(-tokens // self.pages.size)

    def _find(self, id: str) -> Sequence | None:
        return next((s for s in itertools.chain(self.running, self._waiting) if s.request.id == id), None)


def _age(sequence: Sequence) -> int:
    return sequence.age
