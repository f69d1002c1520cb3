"""The scheduler against a device of plain lists: whatever is asked for in whatever pool, pages hold what they should.

The device reads a sequence's tokens from its pages alone, and the next one is a function of all of them, so that a page
that is lost, used twice, or written too early gives other tokens.
"""

import dataclasses
import zlib
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsmath.engine.pages import Pages
from dsmath.engine.scheduler import PATIENCE, Scheduler, Sequence, Shape
from dsmath.error import UserError
from dsmath.records import Piece, Source
from dsmath.text.generator import Request, Sampling

END = 0
GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=None, seed=0)


def following(ids) -> int:
    """The model: of any sequence, the next token, now and then END."""
    return zlib.crc32(bytes(ids)) % 23


def alone(ids, limit: int, end: int = END) -> list[int]:
    """What a sequence comes to without any scheduler."""
    ids = list(ids)
    new = []
    while len(ids) < limit and (not new or new[-1] != end):
        new.append(following(ids))
        ids.append(new[-1])
    return new


def request(id, ids, max_new=20, hold=False) -> Request:
    return Request(str(id), (Piece(Source.PROMPT, "", tuple(ids)),), max_new, (), GREEDY, hold)


@dataclasses.dataclass
class Row:
    token: int = 0
    length: int = 0
    left: int = 0


class Device:
    """What dsmath/engine/device.py does, and what the engine does with it, on lists."""

    def __init__(self, pages: int, size: int, *, rows: int, length: int, ahead: int, groups: int = 3, singles: int = 0):
        shape = Shape(groups, width=3, singles=singles, lane=4, steps=3)
        self.scheduler = Scheduler(Pages(pages, size), shape, rows=rows, length=length)
        self.ahead, self.size = ahead, size
        self.memory = [[None] * size for _ in range(pages)]
        self.rows = [Row() for _ in range(rows)]
        self.flights: deque[list[tuple[Sequence, list[int]]]] = deque()
        self.done: dict[str, list[int]] = {}
        self.known_tokens = 0  # that were put into pages
        self.put_backs = 0

    def poll(self) -> None:
        if len(self.flights) > self.ahead:
            self.read()
            self.begin()
        elif not self.begin() and self.flights:
            self.read()
        self.check()

    def run(self) -> None:
        """Until all is done; far fewer polls than this are needed."""
        for _ in range(10_000):
            if self.scheduler.idle:
                return
            self.poll()
        raise AssertionError("starved")

    def read(self) -> None:
        for sequence, ids in self.flights.popleft():
            sequence.flights -= 1
            if sequence.over:
                continue
            sequence.ids.extend(ids)
            if len(sequence.known) == sequence.limit or (sequence.ids and sequence.ids[-1] == END):
                self.scheduler.finish(sequence)
                self.done[sequence.request.id] = sequence.ids
                self.put_backs += sequence.put_backs

    def begin(self) -> bool:
        plan = self.scheduler.plan()
        if plan is None:
            return False
        tables = {s.row: list(s.pages) for s in self.scheduler.running}
        made = {row: [] for row in tables}
        for row in plan.halted:
            self.rows[row].left = 0
        for contents, target in [(list(self.memory[source]), target) for source, target in plan.copies]:
            self.memory[target] = contents
        shape = self.scheduler.shape
        assert len(plan.groups) + len(plan.singles) + plan.steps <= shape.horizon
        assert len(plan.groups) * shape.width + len(plan.singles) <= shape.lanes
        full = plan.groups if plan.singles else plan.groups[:-1]
        assert all(len(group) == shape.width for group in full)
        for group in plan.groups:
            self.group(group, tables, made)
        for lane in plan.singles:
            self.group([lane], tables, made)
        for _ in range(plan.steps):
            self.group([], tables, made)
        self.flights.append([(s, made[s.row]) for s in plan.sequences])
        return True

    def group(self, lanes, tables, made) -> None:
        """One step: everything is written before anything is read."""
        alive = [row for row in tables if self.rows[row].left > 0 and self.rows[row].token != END]
        for row in alive:
            self.write(tables[row], self.rows[row].length, [self.rows[row].token])
        for lane in lanes:
            self.write(tables[lane.sequence.row], lane.start, lane.ids)
            self.known_tokens += len(lane.ids)
        for row in alive:
            state = self.rows[row]
            state.length, state.left = state.length + 1, state.left - 1
            state.token = following(self.tokens(tables[row], state.length))
            made[row].append(state.token)
        for sequence, start, ids, last in lanes:
            read = self.tokens(tables[sequence.row], start + len(ids))
            assert tuple(read) == sequence.known[: len(read)]
            if last:
                left = sequence.limit - sequence.target - 1
                self.rows[sequence.row] = Row(following(read), len(read), left)
                made[sequence.row].append(self.rows[sequence.row].token)

    def write(self, table, start, ids) -> None:
        for i, id in enumerate(ids, start):
            self.memory[table[i // self.size]][i % self.size] = id

    def tokens(self, table, length) -> list[int]:
        return [self.memory[table[i // self.size]][i % self.size] for i in range(length)]

    def check(self) -> None:
        """No page leaks, none has two writers."""
        scheduler, pages = self.scheduler, self.scheduler.pages
        owners = [s.pages for s in (*scheduler.running, *scheduler._waiting)]
        owners += [hold.pages for hold in scheduler._held.values()]
        uses = [sum(page in owner for owner in owners) for page in range(pages.count)]
        assert uses == pages._uses
        assert sorted([*pages._free, *pages._idle]) == [page for page, count in enumerate(uses) if not count]
        for sequence in scheduler.running:
            for page in sequence.pages[sequence.reach // self.size :]:
                assert uses[page] == 1
        assert len({s.row for s in scheduler.running}) == len(scheduler.running) <= len(self.rows)


ids_of = st.lists(st.integers(1, 3), min_size=1, max_size=30)


@st.composite
def workloads(draw):
    """Requests, some of which go on from held ones or begin with what others begin with."""
    shared = draw(ids_of)
    asked = []
    for i in range(draw(st.integers(1, 12))):
        prompt = draw(ids_of)
        prompt = shared[: draw(st.integers(0, len(shared)))] + prompt if draw(st.booleans()) else prompt
        asked.append((i, prompt[:40], draw(st.integers(1, 25)), draw(st.booleans()), draw(ids_of)[:6]))
    return asked


@settings(max_examples=150, deadline=None)
@given(
    workloads(),
    st.sampled_from([(16, 4), (19, 4), (200, 4), (9, 8), (64, 8), (2, 64), (70, 1)]),
    st.integers(1, 6),
    st.integers(0, 1),
    st.integers(0, 2),
    st.randoms(use_true_random=False),
)
def test_any_workload_on_any_pool_gives_what_each_sequence_gives_alone(asked, pool, rows, ahead, singles, random):
    pages, size = pool
    length = 64
    device = Device(pages, size, rows=rows, length=length, ahead=ahead, singles=singles)
    wanted, later = {}, {}
    for i, ids, max_new, hold, more in asked:
        device.scheduler.submit(request(i, ids, max_new, hold))
        wanted[str(i)] = alone(ids, min(len(ids) + max_new, length))
        if hold:
            later[str(i)] = (ids, more)
        for _ in range(random.randint(0, 2)):
            device.poll()
    device.run()
    assert device.done == wanted
    device.done, wanted = {}, {}
    for id, (ids, more) in later.items():
        longer = (ids + alone(ids, length) + more)[: random.randint(1, length)]
        if len(longer) >= length or random.random() < 0.2:
            device.scheduler.release(id)
            continue
        device.scheduler.submit(request(id, longer, 5))
        wanted[id] = alone(longer, min(len(longer) + 5, length))
    device.run()
    assert device.done == wanted
    assert not device.scheduler._held
    assert device.scheduler.pages.available == pages


def test_samples_of_a_problem_share_its_prompt():
    device = Device(100, 4, rows=8, length=64, ahead=0)
    prompt = [1, 2, 3] * 11
    for i in range(8):
        device.scheduler.submit(request(i, prompt, 5))
    device.run()
    assert device.done == {str(i): alone(prompt, len(prompt) + 5) for i in range(8)}
    assert device.known_tokens == len(prompt) + 7  # of each of the others its last token, which has to be read


def test_a_request_waits_for_what_is_worth_sharing_alone():
    device = Device(100, 64, rows=2, length=64, ahead=0, groups=20)
    for prompt in ([1] * 40, [1] * 40 + [2], [1] * 20 + [3] * 9):
        device.scheduler.submit(request(len(prompt), prompt, 20))
    device.poll()
    assert [s.request.id for s in device.scheduler.running] == ["40", "29"]
    device.run()


def test_a_prefix_stays_known_until_its_room_is_needed():
    device = Device(12, 4, rows=1, length=40, ahead=0)
    prefix = [2, 1, 1, 3] * 4
    for i, tail in enumerate([[1], [2], [3]]):
        device.scheduler.submit(request(i, prefix + tail, 2))
    device.run()
    assert device.known_tokens == len(prefix) + 3
    device.scheduler.submit(request("other", [3] * 36, 4))
    device.run()
    before = device.known_tokens
    device.scheduler.submit(request("again", [*prefix, 1], 2))
    device.run()
    assert device.known_tokens > before + 1


def test_the_youngest_is_put_back_and_the_oldest_goes_on():
    """Of three that never end, on pages for less than two of them."""
    device = Device(18, 4, rows=3, length=64, ahead=0)
    prompts = {str(i): [3, 3, 1 + i] for i in range(3)}
    for id, prompt in prompts.items():
        device.scheduler.submit(request(id, prompt, 61))
    put_back = set()
    while not device.scheduler.idle:
        device.poll()
        running = {s.request.id for s in device.scheduler.running}
        put_back |= {s.request.id for s in device.scheduler._waiting if s.put_backs}
        if running:
            assert min(running) == min(prompts.keys() - device.done.keys())
    assert device.done == {id: alone(prompt, 64) for id, prompt in prompts.items()}
    assert "2" in put_back
    assert "0" not in put_back
    assert device.put_backs >= len(put_back)


def test_held_pages_are_spared_until_others_have_waited():
    device = Device(16, 4, rows=2, length=64, ahead=0)
    device.scheduler.submit(request("held", [1, 2] * 16, 2, hold=True))
    device.run()
    device.scheduler.submit(request("runs", [2] * 8, 8))
    device.poll()
    device.scheduler.submit(request("waits", [3] * 30, 4))
    polls = 0
    while "held" in device.scheduler._held:
        device.poll()
        polls += 1
    assert polls >= min(PATIENCE, 2)
    device.run()
    assert device.done["waits"] == alone([3] * 30, 34)


def test_a_prompt_that_can_never_fit_is_refused():
    device = Device(100, 4, rows=1, length=20, ahead=0)
    with pytest.raises(UserError, match=r"has 20 tokens.*room for 20 .*raise config.eval.cache_length to 21 or more"):
        device.scheduler.submit(request("long", [1] * 20))
    device.scheduler.submit(request("fits", [1] * 19))
    device.run()
    assert len(device.done["fits"]) == 1


def test_a_pool_for_one_sequence_serves_one_at_a_time():
    device = Device(1, 64, rows=4, length=64, ahead=1)
    for i in range(4):
        device.scheduler.submit(request(i, [i + 1] * 5, 30))
    device.run()
    assert device.done == {str(i): alone([i + 1] * 5, 35) for i in range(4)}


def test_a_pool_without_room_for_one_sequence_is_refused():
    with pytest.raises(ValueError, match="15 pages of 4 tokens; expected enough for a sequence of 64"):
        Device(15, 4, rows=1, length=64, ahead=0)


@pytest.mark.parametrize(("ids", "max_new"), [([], 5), ([1], 0)])
def test_nothing_to_go_on_from_or_to_generate_is_refused(ids, max_new):
    with pytest.raises(ValueError, match="both must be > 0"):
        Device(4, 4, rows=1, length=16, ahead=0).scheduler.submit(request("r", ids, max_new))


def test_an_id_that_is_still_generating_is_refused():
    device = Device(4, 4, rows=1, length=16, ahead=0)
    device.scheduler.submit(request("twice", [1], 3))
    with pytest.raises(ValueError, match="'twice' is still generating"):
        device.scheduler.submit(request("twice", [1], 3))
    device.poll()
    with pytest.raises(ValueError, match="'twice' is still generating"):
        device.scheduler.submit(request("twice", [1], 3))


def test_a_page_that_others_follow_is_forgotten_with_them():
    pages = Pages(4, 2)
    chain = pages.take(3)
    pages.know(chain, (1, 2, 3, 4, 5, 6))
    pages.written()
    pages.release(chain)
    pages.share(chain[0])
    pages.cut(chain[0], 1)
    assert pages.match((1, 2, 3, 4)).length == 1
    pages.know(chain[:1], (1, 9))
    pages.written()
    assert pages.match((1, 9, 3, 4)).length == 2  # what followed 1, 2 is not what follows 1, 9
    assert sorted(pages.take(3)) == sorted(set(range(4)) - {chain[0]})
