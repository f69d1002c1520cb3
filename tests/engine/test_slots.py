"""The scheduler of slots, by itself."""

import pytest

from dsmath.engine.slots import PATIENCE, Lease, Slots
from dsmath.error import UserError
from tests.engine.conftest import request


def finish(slots: Slots, seat, *ids: int) -> None:
    seat.ids.extend(ids)
    slots.finish(seat)


def test_requests_are_seated_in_order_as_slots_come_free():
    slots = Slots(2, 16)
    for id in "abc":
        slots.submit(request(id, (1, 2)))
    a, b = slots.admit()
    assert (a.request.id, b.request.id) == ("a", "b")
    assert slots.admit() == []
    finish(slots, b, 7)
    (c,) = slots.admit()
    assert (c.request.id, c.lease) == ("c", Lease(b.lease.slot, b.lease.turn + 1))


def test_a_lease_ends_with_its_generation_also_when_the_same_request_comes_again():
    slots = Slots(1, 16)
    slots.submit(request("a", (1, 2), hold=True))
    (first,) = slots.admit()
    assert slots.holder(first.lease) is first
    finish(slots, first, 7)
    assert slots.holder(first.lease) is None
    slots.submit(request("a", (1, 2, 7, 8)))
    (second,) = slots.admit()
    assert second.lease.slot == first.lease.slot
    assert slots.holder(first.lease) is None
    assert slots.holder(second.lease) is second


@pytest.mark.parametrize(
    ("ids", "shared"),
    [
        ((1, 2, 3, 7, 8, 9, 5), 5),  # of what was generated, the last token never went in
        ((1, 2, 3, 7, 8), 4),  # the last token must be computed anew to go on from it
        ((1, 2, 4, 7, 8, 9), 2),
        ((1, 2), 1),
        ((9, 9), 0),
    ],
)
def test_a_held_sequence_shares_its_longest_common_prefix(ids, shared):
    slots = Slots(1, 16)
    slots.submit(request("a", (1, 2, 3), hold=True))
    finish(slots, slots.admit()[0], 7, 8, 9)
    slots.submit(request("a", ids))
    assert slots.admit()[0].shared == shared


def test_a_held_slot_is_spared_while_others_run_and_its_holder_passes_the_queue():
    slots = Slots(2, 16)
    slots.submit(request("a", (1,), hold=True))
    slots.submit(request("runs", (1,)))
    a, _ = slots.admit()
    finish(slots, a, 7)
    slots.submit(request("b", (1,)))
    assert slots.admit() == []
    assert not slots.idle
    slots.submit(request("a", (1, 7, 2)))
    (seat,) = slots.admit()
    assert (seat.request.id, seat.shared) == ("a", 1)
    finish(slots, seat, 7)
    assert slots.admit()[0].request.id == "b"


def test_a_held_slot_gives_way_where_nothing_runs():
    slots = Slots(1, 16)
    slots.submit(request("a", (1, 2), hold=True))
    finish(slots, slots.admit()[0], 7)
    slots.submit(request("b", (1,)))
    (b,) = slots.admit()
    assert (b.request.id, b.shared) == ("b", 0)
    slots.submit(request("a", (1, 2, 7, 8)))
    assert slots.admit() == []
    finish(slots, b, 7)
    (again,) = slots.admit()
    assert (again.request.id, again.shared) == ("a", 0), "what it held is computed again"


def test_a_slot_that_is_held_for_long_gives_way_the_first_one_first():
    slots = Slots(3, 16)
    for id in ("a", "b", "runs"):
        slots.submit(request(id, (1,), hold=id != "runs"))
    a, b, _ = slots.admit()
    finish(slots, a, 7)
    finish(slots, b, 7)
    slots.submit(request("c", (1,)))
    seated = [slots.admit() for _ in range(PATIENCE + 1)]
    assert [len(seats) for seats in seated] == [0] * PATIENCE + [1]
    assert seated[-1][0].lease.slot == a.lease.slot
    slots.submit(request("b", (1, 7, 2)))
    assert slots.admit()[0].lease.slot == b.lease.slot


def test_release_frees_a_held_slot_once():
    slots = Slots(1, 16)
    slots.submit(request("a", (1,), hold=True))
    finish(slots, slots.admit()[0], 7)
    slots.release("a")
    slots.release("a")
    slots.release("never seen")
    for id in "bc":
        slots.submit(request(id, (1,)))
    assert len(slots.admit()) == 1


def test_release_of_what_is_queued_or_running_undoes_its_hold():
    slots = Slots(1, 16)
    for id in "ab":
        slots.submit(request(id, (1,), hold=True))
    (a,) = slots.admit()
    slots.release("a")
    slots.release("b")
    finish(slots, a, 7)
    finish(slots, slots.admit()[0], 7)
    slots.submit(request("c", (1,)))
    assert slots.admit()


def test_the_budget_is_what_was_asked_for_or_what_fits():
    slots = Slots(3, 16)
    for id, length, max_new in (("a", 4, 5), ("b", 12, 5), ("c", 15, 5)):
        slots.submit(request(id, range(1, length + 1), max_new=max_new))
    assert [seat.budget for seat in slots.admit()] == [5, 4, 1]


def test_a_request_that_can_never_fit_is_refused_with_the_numbers():
    slots = Slots(1, 16)
    with pytest.raises(UserError, match=r"'a' has 16 tokens.*holds 16.*config.eval.cache_length to 17"):
        slots.submit(request("a", range(1, 17)))
    assert slots.idle


@pytest.mark.parametrize(("ids", "max_new"), [((), 5), ((1,), 0)])
def test_a_request_for_nothing_is_refused(ids, max_new):
    with pytest.raises(ValueError, match="must be > 0"):
        Slots(1, 16).submit(request("a", ids, max_new=max_new))


def test_the_room_needed_covers_the_next_dispatch_and_what_is_held():
    slots = Slots(2, 64)
    assert slots.needed(8) == 0
    slots.submit(request("a", range(1, 31), max_new=3, hold=True))
    (a,) = slots.admit()
    assert slots.needed(8) == 33  # its budget ends before the dispatch does
    finish(slots, a, 7, 7, 7)
    slots.submit(request("b", (1, 2)))
    slots.admit()
    assert slots.needed(8) == 32
    slots.release("a")
    assert slots.needed(8) == 10
