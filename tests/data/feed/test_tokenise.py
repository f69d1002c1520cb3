"""Which tokens stand in an example, what each predicts, and what of that is trained."""

import numpy as np
import pytest

from dsmath.records import Source
from dsmath.text.codec import TokenCodec
from tests.data.made_up import REFERENCE, cot, make, tool


def one(tokenise, example) -> np.ndarray:
    """The columns [3, T] of one example."""
    tokens = tokenise([example])
    assert tokens.lengths.tolist() == [tokens.columns.shape[1]]
    return tokens.columns


@pytest.mark.parametrize("example", [cot(11), tool(33)], ids=lambda e: e.mode)
def test_model_text_and_end_token_are_trained_and_nothing_else(tok, example):
    tokens, targets, trained = one(make(tok), example)
    text = "".join(p.text for p in example.solution if p.source == Source.MODEL)
    assert tok.decode(targets[trained == 1]) == REFERENCE.lead + text
    assert targets[-1] == tok.eos
    assert trained[-1] == 1
    assert np.array_equal(tokens[1:], targets[:-1])
    assert [tokens[0], *targets] == [id for piece in TokenCodec(tok).example(example, REFERENCE) for id in piece.ids]


def test_tool_output_is_trained_only_with_the_switch(tok):
    without, with_ = one(make(tok), tool(33)), one(make(tok, tools=True), tool(33))
    assert np.array_equal(without[:2], with_[:2])
    assert tok.decode(with_[1, (with_ - without)[2] == 1]) == "\n66\n```\n"


def test_examples_are_the_same_together_as_alone(tok):
    examples = [cot(10), tool(30), cot(12), cot(11)]
    together = make(tok)(examples)
    alone = [one(make(tok), example) for example in examples]
    assert np.array_equal(together.columns, np.concatenate(alone, axis=1))
    assert together.lengths.tolist() == [a.shape[1] for a in alone]
    assert together.columns.dtype == np.int32
