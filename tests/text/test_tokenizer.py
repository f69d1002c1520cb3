"""Tokenizers: round trips, special tokens, files."""

import json

import pytest
import sentencepiece

from dsmath.error import UserError
from dsmath.text import tokenizer

TEXTS = [
    "Tom has 347 apples, 58 pears.",
    "小明有 12 个苹果。",
    "```python\nx = 3 * 4\nprint(x)\n```",
    " leading, trailing ",
]


@pytest.fixture(scope="module")
def trained():
    return tokenizer.train(TEXTS * 3, vocab_size=400)


@pytest.fixture(scope="module")
def sentencepiece_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spm")
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(TEXTS * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(folder / "tokenizer"), vocab_size=400, model_type="bpe",
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
    )  # fmt: skip
    return folder / "tokenizer.model"


@pytest.mark.parametrize("text", [*TEXTS, "unseen ŵörds ∑ 🙂", "", "\n\n", "<|end|>"])
def test_decode_inverts_encode(trained, sentencepiece_file, text):
    for t in (trained, tokenizer.load(sentencepiece_file)):
        assert t.decode(t.encode(text)) == text


def test_numbers_are_cut_into_groups_of_three():
    t = tokenizer.train(["90817 817 908"] * 5, vocab_size=400)
    assert [t.decode([i]) for i in t.encode("90817")] == ["908", "17"]


def test_text_never_becomes_a_special_token(trained):
    assert trained.eos not in trained.encode("<|end|>")
    assert trained.special("<|end|>") == trained.eos


def test_an_unknown_special_token_is_refused(trained):
    with pytest.raises(UserError, match="no special token"):
        trained.special("<|im_end|>")


def test_sentencepiece_continues_without_an_added_space(sentencepiece_file):
    t = tokenizer.load(sentencepiece_file)
    assert t.decode(t.encode("Tom has") + t.encode(" 347") + t.encode("5")) == "Tom has 3475"


def test_saved_and_loaded_are_the_same(trained, sentencepiece_file, tmp_path):
    for name, t in {"hf": trained, "spm": tokenizer.load(sentencepiece_file)}.items():
        t.save(tmp_path / name)
        again = tokenizer.load(tmp_path / name)
        assert (again.bos, again.eos, again.vocab_size) == (t.bos, t.eos, t.vocab_size)
        assert all(again.encode(text) == t.encode(text) for text in TEXTS)


def test_bos_counts_only_where_the_config_adds_it(trained, tmp_path):
    trained.save(tmp_path)
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"add_bos_token": False}))
    assert tokenizer.load(tmp_path).bos is None


@pytest.mark.parametrize("content", [None, "{ torn"])
def test_a_missing_or_torn_file_is_one_line(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError) as e:
        tokenizer.load(path)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)
