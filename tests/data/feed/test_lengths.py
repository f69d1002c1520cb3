"""What a training set comes to in tokens."""

import dataclasses

from dsmath.data.feed import lengths
from dsmath.data.feed.pipeline import Part
from dsmath.data.feed.tokenise import Tokenise
from dsmath.text import template
from tests.train.conftest import CONFIG, make_examples, make_tokenizer


def test_groups_and_packing_count_the_same_tokens():
    tokenise = Tokenise(make_tokenizer(), template.TEMPLATES["reference"], loss_on_tool_output=False)
    examples = make_examples(300)
    chinese = [dataclasses.replace(example, id=f"zh-{example.id}", lang="zh") for example in examples[:7]]
    parts = (Part("a", examples, weight=None, epochs=1), Part("b", chinese, weight=None, epochs=1))
    found = lengths.statistics(parts, tokenise, CONFIG.data, seed=0)
    for group, of in {"en-cot": examples, "zh-cot": chinese}.items():
        columns = [tokenise([example]).columns for example in of]
        counts = found["groups"][group]
        assert counts["examples"] == len(of)
        assert counts["tokens"] == sum(c.shape[1] for c in columns)
        assert counts["trained"] == sum(int(c[2].sum()) for c in columns)
        assert counts["lengths"]["100"] == max(c.shape[1] for c in columns)
    whole, cut = found["packing"]["whole"], found["packing"]["cut"]
    assert cut["fill"] == 1.0 > whole["fill"] > 0.5
    assert cut["dropped_tokens"] == 0 < cut["cut_examples"]
    assert whole["rows"] == cut["rows"] == sum(g["tokens"] for g in found["groups"].values()) // CONFIG.data.row_length
