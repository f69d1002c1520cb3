"""Word by word, ids are those of the whole text, in every tokenizer whose words are known; others are left alone."""

import pickle
import unicodedata

import pytest
import tokenizers as backends
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers as cutters

from dsmath.text import ranks, words
from dsmath.text.words import WordEncoder

LETTERS = r"\s?[A-Za-zµÀ-ÖØ-öø-ƺͰ-ͳΆΈ-ΊЀ-ҁḀ-ἕℂ-ℇⰀ-ⱻＡ-Ｚａ-ｚ𐐀-𐑏]+"
PRE_TOKENIZERS = {
    "smollm2": [cutters.Digits(individual_digits=True), cutters.ByteLevel(add_prefix_space=False)],
    "ours": [cutters.Split(backends.Regex(r"\d{1,3}"), "isolated"), cutters.ByteLevel(add_prefix_space=False)],
    "deepseek": [
        *(
            cutters.Split(backends.Regex(regex), "isolated")
            for regex in ("[\r\n]", LETTERS, r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", "[一-龥ࠀ-一가-퟿]+")
        ),
        cutters.Digits(individual_digits=True),
        cutters.ByteLevel(add_prefix_space=False, use_regex=False),
    ],
    "qwen": [
        cutters.Split(backends.Regex(ranks.SPLIT), "isolated"),
        cutters.ByteLevel(add_prefix_space=False, use_regex=False),
    ],
}
OTHERS = {
    "another split": [cutters.Split(backends.Regex(r"\d{1,4}"), "isolated"), cutters.ByteLevel(add_prefix_space=False)],
    "a space put before": [cutters.Digits(individual_digits=True), cutters.ByteLevel(add_prefix_space=True)],
    "letters with Chinese": [
        cutters.Split(backends.Regex(r"\s?[A-Za-z㐀-鿿]+"), "isolated"),
        *PRE_TOKENIZERS["deepseek"][2:],
    ],
    "bytes alone": [cutters.ByteLevel(add_prefix_space=False, use_regex=False)],
}
CORPUS = [
    "It's 12 apples, they'll cost $3.50 each; we've 1234567 left (or so).",
    "x = 3 * 4\n\n\tprint(x)  # shows   12 \n\\frac{1}{2} + \\sqrt{x^2} = y_1",
    "小明有 12 个苹果，他吃了3个。还剩几个？（请回答）",
]
SNIPPETS = [
    *"'stm 0123456789 ab \t\n\r.,$\\{}_^!?，。（“一苹果",
    "  ",
    "\n ",
    " \n",
    "'ll",
    "I'm",
    " x",
    " 1",
    "$ ",
    "　",
    "…",
    "é",
    "０",
    "〇",
]
TEXTS = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=3)), max_size=40).map("".join)


def backend(parts, **model) -> backends.Tokenizer:
    """A tokenizer trained on the corpus."""
    made = backends.Tokenizer(backends.models.BPE(**model))
    made.pre_tokenizer = cutters.Sequence(parts)
    trainer = backends.trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<end>"], initial_alphabet=cutters.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(CORPUS * 3, trainer)
    made.encode_special_tokens = True
    return made


KNOWN = {name: backend(parts) for name, parts in PRE_TOKENIZERS.items()}


def whole(made: backends.Tokenizer, text: str) -> tuple[int, ...]:
    return tuple(made.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("name", KNOWN)
def test_ids_are_those_of_the_whole_text(name):
    encode = WordEncoder(KNOWN[name])
    assert encode.cuts

    @settings(max_examples=600, deadline=None)
    @given(TEXTS)
    def check(text):
        assert encode(text) == whole(KNOWN[name], text)

    check()
    for text in [*CORPUS, "<end> is no token", ""]:
        assert encode(text) == whole(KNOWN[name], text)


@pytest.mark.parametrize("name", KNOWN)
def test_words_are_those_of_the_pre_tokenizer(name):
    """And not larger pieces, whose ids would agree by luck."""
    cut = words._cut_of(KNOWN[name])
    for text in CORPUS:
        assert words.ALPHABET.fullmatch(text)
        assert cut.findall(text) == [text[a:b] for _, (a, b) in KNOWN[name].pre_tokenizer.pre_tokenize_str(text)]


@pytest.mark.parametrize("name", OTHERS)
def test_an_unknown_pre_tokenizer_is_left_to_the_library(name):
    made = backend(OTHERS[name])
    encode = WordEncoder(made)
    assert not encode.cuts
    assert all(encode(text) == whole(made, text) for text in CORPUS)


def test_a_tokenizer_that_does_more_than_cut_is_left_to_the_library():
    def changed(change) -> WordEncoder:
        made = backend(PRE_TOKENIZERS["smollm2"])
        assert WordEncoder(made).cuts
        change(made)
        return WordEncoder(made)

    assert not changed(lambda made: setattr(made, "normalizer", backends.normalizers.Lowercase())).cuts
    assert not changed(lambda made: made.add_tokens(["two words"])).cuts
    assert not changed(lambda made: made.enable_truncation(4)).cuts
    assert not changed(lambda made: made.enable_padding(length=9)).cuts
    assert not changed(lambda made: setattr(made.model, "dropout", 0.5)).cuts
    assert changed(lambda made: made.add_tokens(["\u00f8"])).cuts, "a text with it isn't in the alphabet"


def test_a_normalizer_that_leaves_the_alphabet_as_it_is_changes_nothing():
    made = backend(PRE_TOKENIZERS["qwen"])
    made.normalizer = backends.normalizers.NFC()
    encode = WordEncoder(made)
    assert encode.cuts
    every = "".join(c for c in map(chr, range(1 << 16)) if words.ALPHABET.fullmatch(c))
    assert unicodedata.normalize("NFC", every) == made.normalizer.normalize_str(every) == every
    assert encode("cafe\u0301 12") == whole(made, "caf\u00e9 12")


def test_forgetting_words_changes_no_ids(monkeypatch):
    monkeypatch.setattr(words, "MOST_WORDS", 3)
    encode = WordEncoder(KNOWN["smollm2"])
    assert [encode(text) for text in CORPUS * 2] == [whole(KNOWN["smollm2"], text) for text in CORPUS * 2]
    assert len(encode._ids) <= 3


def test_it_survives_the_way_into_another_process():
    encode = pickle.loads(pickle.dumps(WordEncoder(KNOWN["deepseek"])))
    assert encode.cuts
    assert [encode(text) for text in CORPUS] == [whole(KNOWN["deepseek"], text) for text in CORPUS]
