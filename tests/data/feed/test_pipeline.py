"""The input pipeline: what is trained on, in which order, and that it goes on from any batch, with any workers."""

import collections
import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from dsmath.config import Data
from dsmath.data.feed import pipeline
from dsmath.data.feed.pipeline import Part
from dsmath.data.feed.tokenise import Tokenise
from dsmath.error import Preempted, UserError
from dsmath.text import template, tokenizer
from tests.conftest import ROOT
from tests.data.made_up import EXAMPLES, cot, make

LENGTH = 256
DATA = Data(("own",), ("cot", "tool"), 0, row_length=LENGTH, packing_bins=3)
CUT = dataclasses.replace(DATA, packing="cut", row_length=96)
PACKINGS = {"whole": DATA, "cut": CUT}


def part(name: str, examples: list, weight: float | None = None, epochs: int = 1) -> Part:
    return Part(name, examples, weight, epochs)


WHOLE_SET = (part("own", EXAMPLES),)
PARTS = (
    part("first", EXAMPLES[:12], epochs=3),
    part("second", EXAMPLES[12:14]),
    part("third", EXAMPLES[14:], epochs=2),
)


def rows(tok, parts=WHOLE_SET, data=DATA, *, seed=0, number=4) -> pipeline.Rows:
    return pipeline.batches(parts, make(tok), data, rows=number, seed=seed)


def order(parts, number: int, *, seed=0) -> list[str]:
    """The ids of what is trained on, in that order."""
    endless = pipeline._order(parts, seed)
    return [endless[i].id for i in range(number)]


def segments(batch):
    """Per segment of a batch: its columns."""
    for r, row in enumerate(batch["segments"]):
        for s in range(1, row.max() + 1):
            yield {name: column[r][row == s] for name, column in batch.items()}


def same(a, b) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in pipeline.COLUMNS)


def tokens(one) -> bytes:
    return np.stack([one["tokens"], one["targets"], one["weights"].astype(np.int32)]).tobytes()


def test_columns_have_the_types_that_the_step_is_compiled_for(tok):
    for data in PACKINGS.values():
        batch = next(rows(tok, data=data))
        assert {name: column.dtype for name, column in batch.items()} == pipeline.COLUMNS
        assert {column.shape for column in batch.values()} == {(4, data.row_length)}
        assert np.array_equal(batch["weights"], batch["trained"])


def test_end_token_is_trained_where_it_is_also_the_padding_id(tok):
    assert tok.special("<|begin|>") == 0
    tok = tokenizer.HFTokenizer(tok._backend, bos=None, eos="<|begin|>")  # the id that padding is filled with
    batch = next(rows(tok))
    for one in segments(batch):
        assert one["targets"][-1] == 0
        assert one["weights"][-1] == 1
    assert np.all(batch["weights"][batch["segments"] == 0] == 0)


def test_rows_hold_whole_examples_with_restarting_positions(tok):
    alone = {make(tok)([example]).columns.tobytes() for example in EXAMPLES}
    batch = next(rows(tok))
    assert batch["segments"].max() > 1
    for one in segments(batch):
        assert tokens(one) in alone  # so no target is another example's token
        assert np.array_equal(one["positions"], np.arange(len(one["tokens"])))
    for name, column in batch.items():
        assert np.all(column[batch["segments"] == 0] == 0), name


def test_cut_rows_hold_the_examples_of_the_order_without_a_gap(tok):
    stream = rows(tok, PARTS, CUT)
    joined = np.concatenate([np.stack([one["tokens"], one["targets"], one["trained"]], axis=1)
                             for _ in range(30) for one in segments(next(stream))])  # fmt: skip
    endless = pipeline._order(PARTS, 0)
    expected = make(tok)([endless[i] for i in range(300)]).columns.T
    assert len(joined) == 30 * 4 * CUT.row_length < len(expected)
    assert np.array_equal(joined, expected[: len(joined)])


@pytest.mark.parametrize("parts", [WHOLE_SET, PARTS], ids=["one part", "parts with epochs"])
def test_every_pass_has_every_example_as_often_as_asked_in_its_own_order(parts):
    wanted = collections.Counter(example.id for one in parts for example in one.examples for _ in range(one.epochs))
    size = wanted.total()
    passes = [order(parts, 3 * size)[i * size : (i + 1) * size] for i in range(3)]
    assert [collections.Counter(ids) for ids in passes] == [wanted] * 3
    assert len({tuple(ids) for ids in passes}) == 3
    assert order(parts, size, seed=1) != passes[0]


@pytest.mark.parametrize("done", [0, 3])
def test_rows_hold_every_example_of_a_pass_once_also_where_it_is_interrupted(tok, done):
    name = {make(tok)([example]).columns.tobytes(): example.id for example in EXAMPLES}
    stream = rows(tok, number=3)
    given = [next(stream) for _ in range(done)]
    fresh = rows(tok, number=3)
    fresh.set_state(json.loads(json.dumps(stream.get_state())))
    given += [next(fresh) for _ in range(30)]
    seen = collections.Counter(name[tokens(one)] for batch in given for one in segments(batch))
    window = (done + 30) * 3 // DATA.packing_bins  # all rows of it are given out, so these are the first of the order
    assert window * DATA.packing_bins == (done + 30) * 3
    assert seen == collections.Counter(order(WHOLE_SET, seen.total()))
    assert seen.total() > 3 * len(EXAMPLES)


def test_with_weights_examples_come_in_these_shares_each_part_pass_by_pass():
    parts = (
        part("a", EXAMPLES[:11], weight=6),
        part("b", EXAMPLES[11:13], weight=1.5),
        part("c", EXAMPLES[13:], weight=2.5),
    )
    ids = order(parts, 600)
    of_part = {one.name: [id for id in ids if id in {e.id for e in one.examples}] for one in parts}
    shares = {name: len(of) / len(ids) for name, of in of_part.items()}
    assert shares == pytest.approx({"a": 0.6, "b": 0.15, "c": 0.25}, rel=0.01)
    for one in parts:
        of, size = of_part[one.name], len(one.examples)
        passes = [tuple(of[i : i + size]) for i in range(0, len(of) - size, size)]
        assert all(set(ids) == {e.id for e in one.examples} for ids in passes)
        assert len(set(passes)) > 1
    for begin in range(0, 600, 100):
        assert sum(id in {e.id for e in EXAMPLES[:11]} for id in ids[begin : begin + 100]) == pytest.approx(60, abs=2)


def test_weighted_parts_of_one_length_have_orders_of_their_own():
    one, two = (part(name, EXAMPLES[:20], weight=1) for name in "ab")
    ids = order((one, two), 40)
    assert sorted(ids[::2]) == sorted(ids[1::2]) == sorted(e.id for e in EXAMPLES[:20])
    assert ids[::2] != ids[1::2]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([part("a", [])], "the training set has no example"),
        ([part("a", EXAMPLES, weight=1), part("b", EXAMPLES)], "a has a weight, b has none; give all parts"),
        ([part("a", EXAMPLES, weight=0.0)], r"a has weight = 0\.0; expected more than 0"),
        ([part("a", EXAMPLES, weight=float("nan"))], r"a has weight = nan; expected more than 0"),
        ([part("a", EXAMPLES, epochs=0)], "a has epochs = 0; expected at least 1"),
        ([part("a", EXAMPLES, weight=1, epochs=2)], "a has a weight, and epochs = 2; expected one of them"),
        ([part("a", EXAMPLES, weight=1), part("b", [], weight=1)], "b has weight = 1, and no example"),
    ],
)
def test_parts_that_do_not_go_together_are_an_error_in_one_line(tok, parts, message):
    with pytest.raises(UserError, match=message) as e:
        rows(tok, parts)
    assert "\n" not in str(e.value)


def test_an_empty_part_without_a_weight_is_nothing(tok):
    assert same(next(rows(tok, [part("none", []), *WHOLE_SET])), next(rows(tok)))


@pytest.mark.parametrize("weight", [None, 2.0])
def test_no_example_that_fits_is_an_error_and_no_endless_search(tok, weight):
    stream = rows(tok, [part("own", EXAMPLES, weight)], dataclasses.replace(DATA, row_length=8))
    with pytest.raises(UserError, match=r"row_length = 8"):
        next(stream)


def test_same_seed_same_rows_other_seed_others(tok):
    assert all(same(a, b) for a, b, _ in zip(rows(tok), rows(tok), range(6), strict=False))
    assert not same(next(rows(tok, seed=0)), next(rows(tok, seed=1)))


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("done", [0, 1, 5])
def test_restored_iterator_goes_on_with_the_next_batch(tok, done, packing):
    stream = rows(tok, PARTS, PACKINGS[packing])
    for _ in range(done):
        next(stream)
    state = json.loads(json.dumps(stream.get_state()))
    expected = [next(stream) for _ in range(4)]
    fresh = rows(tok, PARTS, PACKINGS[packing])
    next(fresh)
    fresh.set_state(state)
    assert all(same(a, next(fresh)) for a in expected)


@pytest.mark.parametrize("packing", PACKINGS)
def test_statistics_are_those_of_the_rows(tok, packing):
    tally = pipeline.statistics(PARTS, make(tok), PACKINGS[packing], rows=12, seed=0)
    batch = next(rows(tok, PARTS, PACKINGS[packing], number=12))
    assert (tally.rows, tally.slots) == (12, batch["segments"].size)
    assert tally.tokens == (batch["segments"] > 0).sum()
    assert tally.fill == (batch["segments"] > 0).mean()
    assert (tally.cut_examples > 0) == (packing == "cut")


def test_dropped_examples_are_counted(tok):
    long = dataclasses.replace(cot(10), id="long", question="Double? " * LENGTH)
    stream = rows(tok, [part("own", [*EXAMPLES, long])])
    for _ in range(30):
        next(stream)
    stream.close()
    passes = stream.tally.examples / (len(EXAMPLES) + 1)
    assert passes - 1 < stream.tally.dropped_examples < passes + 1
    assert stream.tally.dropped_tokens == stream.tally.dropped_examples * make(tok)([long]).lengths[0]


# What follows starts processes, which takes them a second or two.


@pytest.fixture
def opened():
    """Opens rows, and closes them in the end."""
    streams: list[pipeline.Rows] = []

    def open(*args, **kwargs) -> pipeline.Rows:
        streams.append(rows(*args, **kwargs))
        return streams[-1]

    yield open
    for stream in streams:
        stream.close()
    assert not multiprocessing.active_children()


def working(data: Data, workers: int) -> Data:
    return dataclasses.replace(data, workers=workers)


MANY = (part("own", [cot(i) for i in range(10, 500)], weight=2), part("tools", EXAMPLES[20:], weight=1))


@pytest.mark.parametrize("packing", PACKINGS)
def test_rows_and_states_are_the_same_with_any_number_of_workers(tok, opened, packing):
    alone = opened(tok, MANY, PACKINGS[packing], number=20)
    expected = [(next(alone), alone.get_state()) for _ in range(44)]
    assert alone.tally.examples > 5 * pipeline.CHUNK, "each worker has a chunk, and more"
    two = opened(tok, MANY, working(PACKINGS[packing], 2), number=20)
    states = []
    for batch, state in expected:
        assert same(next(two), batch)
        states.append(json.dumps(two.get_state()))
        assert json.loads(states[-1]) == state
    assert len(multiprocessing.active_children()) == 2
    for workers in (0, 1):
        stream = opened(tok, MANY, working(PACKINGS[packing], workers), number=20)
        stream.set_state(json.loads(states[17]))
        assert all(same(next(stream), batch) for batch, _ in expected[18:])


def test_a_workers_user_error_is_the_callers(opened):
    tok = tokenizer.train(["Double it?"], vocab_size=300)
    tokenise = Tokenise(tok, template.find("chatml"), loss_on_tool_output=False)
    stream = pipeline.batches(WHOLE_SET, tokenise, working(DATA, 1), rows=1, seed=0)
    with pytest.raises(UserError, match=r"no special token '<\|im_start\|>'"):
        next(stream)
    stream.close()


def test_a_worker_that_is_killed_is_an_end_from_outside(tok, opened):
    stream = opened(tok, MANY, working(DATA, 1))
    next(stream)
    (worker,) = multiprocessing.active_children()
    worker.kill()
    with pytest.raises(Preempted, match="a worker that tokenises was killed; the same command goes on"):
        collections.deque(iter(lambda: next(stream), None), maxlen=0)


def test_workers_outlive_the_signals_that_ask_their_process_to_end(tok, opened):
    expected = rows(tok, MANY)
    stream = opened(tok, MANY, working(DATA, 1))
    for i in range(60):
        assert same(next(stream), next(expected))
        if i == 1:
            (worker,) = multiprocessing.active_children()
            for number in (signal.SIGTERM, signal.SIGINT):
                os.kill(worker.pid, number)
    assert worker.is_alive()


KILLED = """
import multiprocessing, time
from tests.data.made_up import EXAMPLES
from tests.data.feed.test_pipeline import MANY, DATA, rows, tokenizer, working
if __name__ == "__main__":
    tok = tokenizer.train([e.question for e in EXAMPLES], vocab_size=300)
    stream = rows(tok, MANY, working(DATA, 1))
    next(stream)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    if {wait}:
        time.sleep(600)
"""


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "ended without closing"])
def test_no_worker_outlives_its_process(tmp_path, killed):
    (tmp_path / "feeds.py").write_text(KILLED.format(wait=killed))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "feeds.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert len(workers) == 1
    if killed:
        process.kill()
    process.wait(timeout=60)
    deadline = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{pid}") for pid in workers):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.05)
