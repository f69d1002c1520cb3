"""How examples share rows: Grain's packers are the reference, row by row."""

import itertools
import json

import grain
import numpy as np
import pytest
from grain.experimental import ConcatThenSplitIterDataset, FirstFitPackIterDataset

from dsmath.data.feed import packing
from dsmath.data.feed.packing import Cut, Tally, Whole
from dsmath.data.feed.tokenise import Tokens
from dsmath.error import UserError

LENGTH, BINS, SEED = 64, 5, 3


def columns(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 1000, size=(3, length)).astype(np.int32)


LENGTHS = np.random.default_rng(0).integers(2, 50, size=97).tolist()
SOME_LONG = [
    n * 4 if i % 9 == 0 else n for i, n in enumerate(LENGTHS)
]  # some longer than a row, than two, and than three


def read(lengths: list[int], *, chunk: int = 7):
    """What packers read: examples of these lengths, without end, in chunks."""

    def read(first: int):
        for begin in itertools.count(first, chunk):
            examples = [columns(lengths[i % len(lengths)], i) for i in range(begin, begin + chunk)]
            yield Tokens(np.concatenate(examples, axis=1), np.array([e.shape[1] for e in examples]))

    return read


def grains(lengths: list[int], dataset, *, longest: int | None = None, **settings):
    """Rows of a packer of Grain's, as ours are, and its iterator."""

    def one(i: int) -> dict[str, np.ndarray] | None:
        length = lengths[i % len(lengths)]
        return None if longest is not None and length > longest else {"row": columns(length, i).T}

    examples = grain.MapDataset.range(10_000).map(one)
    read = examples.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
    rows = iter(dataset(read, length_struct={"row": LENGTH}, **settings))
    while True:
        row = next(rows)
        yield np.stack([*row["row"].T, row["row_segment_ids"], row["row_positions"]]), rows


def first_fit():
    return grains(SOME_LONG, FirstFitPackIterDataset, longest=LENGTH, num_packing_bins=BINS, seed=SEED)


def concat_then_split():
    return grains(SOME_LONG, ConcatThenSplitIterDataset)


PACKERS = {"whole": Whole(LENGTH, BINS, SEED, patience=100), "cut": Cut(LENGTH)}
REFERENCES = {"whole": first_fit, "cut": concat_then_split}


def rows(packer, lengths=SOME_LONG, state=None, tally=None):
    return packer(read(lengths), state, tally or Tally())


@pytest.mark.parametrize("name", PACKERS)
def test_rows_are_those_of_grain(name):
    for i, ((row, _), (expected, _)) in enumerate(zip(rows(PACKERS[name]), REFERENCES[name](), strict=False)):
        assert row.dtype == np.int32
        np.testing.assert_array_equal(row, expected)
        if i == 200:
            break


@pytest.mark.parametrize("name", PACKERS)
def test_it_goes_on_behind_any_row(name):
    made = [(row, json.loads(json.dumps(state))) for row, state in itertools.islice(rows(PACKERS[name]), 60)]
    for i, (_, state) in enumerate(made[:40]):
        again = rows(PACKERS[name], state=state)
        for expected, _ in made[i + 1 : i + 20]:
            np.testing.assert_array_equal(next(again)[0], expected)


def test_a_state_of_grains_packer_is_gone_on_from():
    expected = rows(PACKERS["whole"])
    for i, (_, iterator) in enumerate(itertools.islice(first_fit(), 23)):
        next(expected)
        state = json.loads(json.dumps(iterator.get_state()))
        if i % 3 == 0:
            again = rows(PACKERS["whole"], state=state)
            ahead = rows(PACKERS["whole"])
            for row, _ in itertools.islice(ahead, i + 1, i + 9):
                np.testing.assert_array_equal(next(again)[0], row)


@pytest.mark.parametrize("chunk", [1, 1000])
@pytest.mark.parametrize("name", PACKERS)
def test_chunks_make_no_difference(name, chunk):
    others = PACKERS[name](read(SOME_LONG, chunk=chunk), None, Tally())
    for (row, state), (other, of_other) in itertools.islice(zip(rows(PACKERS[name]), others, strict=False), 50):
        assert np.array_equal(row, other)
        assert state == of_other


def test_cut_rows_are_full_and_hold_every_token_in_order():
    tally = Tally()
    made = [row for row, _ in itertools.islice(rows(PACKERS["cut"], tally=tally), 150)]
    joined = np.concatenate(made, axis=1)
    assert (joined[3] > 0).all()
    everything = np.concatenate([columns(SOME_LONG[i % len(SOME_LONG)], i) for i in range(500)], axis=1)
    assert np.array_equal(joined[:3], everything[:, : joined.shape[1]])
    assert (tally.fill, tally.dropped_examples, tally.rows, tally.slots) == (1.0, 0, 150, 150 * LENGTH)
    ends = np.cumsum([SOME_LONG[i % len(SOME_LONG)] for i in range(500)])
    begins = np.concatenate([[0], ends[:-1]])
    inside = (begins // LENGTH < (ends - 1) // LENGTH) & (begins < joined.shape[1])
    assert tally.cut_examples == inside.sum(), "each example that lies in more than one row, once"


def test_positions_restart_and_segments_count_in_every_row():
    for name in PACKERS:
        for row, _ in itertools.islice(rows(PACKERS[name]), 60):
            used = row[:, row[3] > 0]
            assert np.array_equal(row[3, : used.shape[1]], used[3]), "padding is at the end"
            assert not row[:, used.shape[1] :].any()
            for segment in range(1, used[3].max() + 1):
                of_segment = used[4, used[3] == segment]
                assert np.array_equal(of_segment, np.arange(len(of_segment)))


def test_what_is_too_long_for_a_row_is_dropped_and_counted():
    tally = Tally()
    made = list(itertools.islice(rows(PACKERS["whole"], tally=tally), 8 * BINS))
    read_examples = made[-1][1]["example"]
    lengths = np.array([SOME_LONG[i % len(SOME_LONG)] for i in range(read_examples)])
    assert tally.tokens == lengths[lengths <= LENGTH].sum()
    assert tally.dropped_examples == (lengths > LENGTH).sum() > 0
    assert tally.dropped_tokens == lengths[lengths > LENGTH].sum()
    assert tally.cut_examples == 0
    assert 0.5 < tally.fill < 1


def test_a_row_holds_an_example_that_fills_it_exactly():
    row, _ = next(rows(PACKERS["whole"], [LENGTH]))
    assert (row[3] == 1).all()
    with pytest.raises(UserError, match=f"row_length = {LENGTH}; choose a larger one"):
        next(rows(PACKERS["whole"], [LENGTH + 1]))


def test_one_that_fits_among_many_that_do_not_is_no_error():
    row, _ = next(rows(PACKERS["whole"], [*[LENGTH + 1] * 98, 3]))
    assert row[3].max() == LENGTH // 3


def test_an_unknown_packing_is_an_error():
    settings = {"row_length": LENGTH, "bins": BINS, "seed": SEED, "patience": 1}
    assert {name: packing.packer(name, **settings) for name in packing.PACKINGS} == {
        "whole": Whole(LENGTH, BINS, SEED, 1),
        "cut": Cut(LENGTH),
    }
    with pytest.raises(UserError, match=r"data\.packing is 'wrapped'; expected one of: whole, cut"):
        packing.packer("wrapped", **settings)
