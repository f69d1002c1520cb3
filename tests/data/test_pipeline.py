"""The input pipeline: what is trained on, how examples share rows, and that it can go on from any batch."""

import dataclasses
import json

import numpy as np
import pytest

from dsmath.data import pipeline
from dsmath.error import UserError
from dsmath.records import Example, Piece, Source
from dsmath.text import template, tokenizer

REFERENCE = template.TEMPLATES["reference"]
LENGTH = 256


def cot(i: int) -> Example:
    text = " ".join([f"Double {i} is {2 * i}."] * (1 + i % 3))
    return Example(f"cot-{i}", "own", "en", "cot", f"Double {i}?", (Piece(Source.MODEL, text),), str(2 * i))


def tool(i: int) -> Example:
    solution = template.with_program("Let us run it.", f"print(2 * {i})", str(2 * i), f"So it is {2 * i}.")
    return Example(f"tool-{i}", "own", "en", "tool", f"Double {i}?", solution, str(2 * i))


EXAMPLES = [cot(i) for i in range(10, 30)] + [tool(i) for i in range(30, 40)]


@pytest.fixture(scope="module")
def tok():
    return tokenizer.train([e.question + p.text for e in EXAMPLES for p in e.solution], vocab_size=400)


def make(tok, *, row_length=LENGTH, tools=False) -> pipeline.Tokenise:
    return pipeline.Tokenise(tok, REFERENCE, row_length=row_length, loss_on_tool_output=tools)


def rows(tok, examples=EXAMPLES, *, seed=0, number=4) -> pipeline.Rows:
    return pipeline.batches(examples, make(tok), rows=number, row_length=LENGTH, packing_bins=3, seed=seed)


def segments(batch):
    """Per example in a batch: its columns."""
    for r, row in enumerate(batch["segments"]):
        for s in range(1, row.max() + 1):
            yield {name: column[r][row == s] for name, column in batch.items()}


def same(a, b) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("example", [cot(11), tool(33)], ids=lambda e: e.mode)
def test_model_text_and_end_token_are_trained_and_nothing_else(tok, example):
    tokens, targets, trained = make(tok)(example).T
    text = "".join(p.text for p in example.solution if p.source == Source.MODEL)
    assert tok.decode(targets[trained == 1]) == REFERENCE.lead + text
    assert targets[-1] == tok.eos
    assert trained[-1] == 1
    assert np.array_equal(tokens[1:], targets[:-1])


def test_tool_output_is_trained_only_with_the_switch(tok):
    without, with_ = make(tok)(tool(33)), make(tok, tools=True)(tool(33))
    assert np.array_equal(without[:, :2], with_[:, :2])
    assert tok.decode(with_[(with_ - without)[:, 2] == 1, 1]) == "\n66\n```\n"


def test_end_token_is_trained_where_it_is_also_the_padding_id(tok):
    assert tok.special("<|begin|>") == 0
    tok = tokenizer.HFTokenizer(tok._backend, bos=None, eos="<|begin|>")  # the id that padding is filled with
    batch = next(rows(tok))
    for one in segments(batch):
        assert one["targets"][-1] == 0
        assert one["weights"][-1] == 1
    assert np.all(batch["weights"][batch["segments"] == 0] == 0)


def test_rows_hold_whole_examples_with_restarting_positions(tok):
    alone = {row.tobytes() for row in map(make(tok), EXAMPLES)}
    batch = next(rows(tok))
    assert batch["segments"].max() > 1
    for one in segments(batch):
        row = np.stack([one["tokens"], one["targets"], one["weights"].astype(np.int32)], axis=1)
        assert row.tobytes() in alone  # so no target is another example's token
        assert np.array_equal(one["positions"], np.arange(len(row)))
    for name, column in batch.items():
        assert column.shape == (4, LENGTH)
        assert np.all(column[batch["segments"] == 0] == 0), name


def test_every_epoch_has_all_examples_in_its_own_order(tok):
    seen, stream = [], rows(tok)
    while len(seen) < 2 * len(EXAMPLES):
        # Packing keeps examples whole but not in order: rows are shuffled within a set of packing_bins.
        seen += [one["targets"].tobytes() for one in segments(next(stream))]
    counts = {s: seen.count(s) for s in seen}
    assert len(counts) == len(EXAMPLES)
    assert seen[: len(EXAMPLES)] != seen[len(EXAMPLES) : 2 * len(EXAMPLES)]


def test_same_seed_same_rows_other_seed_others(tok):
    assert all(same(a, b) for a, b, _ in zip(rows(tok), rows(tok), range(6), strict=False))
    assert not same(next(rows(tok, seed=0)), next(rows(tok, seed=1)))


@pytest.mark.parametrize("done", [0, 1, 5])
def test_restored_iterator_goes_on_with_the_next_batch(tok, done):
    stream = rows(tok)
    for _ in range(done):
        next(stream)
    state = json.loads(json.dumps(stream.get_state()))
    expected = [next(stream) for _ in range(4)]
    fresh = rows(tok)
    fresh.set_state(state)
    assert all(same(a, next(fresh)) for a in expected)


def test_examples_longer_than_a_row_are_dropped_and_counted(tok):
    long = dataclasses.replace(cot(10), id="long", question="Double? " * LENGTH)
    tokenise = make(tok)
    stream = pipeline.batches([*EXAMPLES, long], tokenise, rows=4, row_length=LENGTH, packing_bins=3, seed=0)
    for _ in range(10):
        next(stream)
    assert tokenise.dropped == {"long"}


def test_a_row_holds_an_example_that_fills_it_exactly(tok):
    length = len(make(tok)(cot(10)))
    assert make(tok, row_length=length)(cot(10)) is not None
    assert make(tok, row_length=length - 1)(cot(10)) is None


def test_no_example_that_fits_is_an_error_and_no_endless_search(tok):
    stream = pipeline.batches(EXAMPLES, make(tok, row_length=8), rows=1, row_length=8, packing_bins=3, seed=0)
    with pytest.raises(UserError, match=r"row_length = 8"):
        next(stream)


def test_no_example_at_all_is_an_error(tok):
    with pytest.raises(UserError, match="the training set has no example"):
        rows(tok, [])
