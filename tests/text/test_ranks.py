"""A qwen.tiktoken encodes as tiktoken does it, and its words are known."""

import base64
import itertools
import unicodedata

import pytest
import tiktoken
import tokenizers as backends
from hypothesis import given, settings
from hypothesis import strategies as st

from dsmath.error import UserError
from dsmath.records import Source
from dsmath.text import ranks, tokenizer
from dsmath.text.codec import TokenCodec
from dsmath.text.template import BEGIN, Special
from tests.text.sentences import SENTENCES

CORPUS = [*SENTENCES, "aaaa aaa aa    a\n\n\n====== ---- 000000 caf\u00e9 e\u0301 HE'LL they'll"]
RUNS = st.tuples(st.sampled_from("a=- \n0苹,.'l"), st.integers(1, 12)).map(lambda run: run[0] * run[1])
WORDS = st.sampled_from(
    ["they'll", "HE'LL", " x", "caf\u00e9", "cafe\u0301", "\uac00", "\u1100\u1161", "\u3000", "<|im_end|>"]
)
TEXTS = st.lists(st.one_of(RUNS, WORDS, st.text(max_size=4)), max_size=15).map("".join)


def write(path, corpus=CORPUS, size=700):
    """A small file of this kind: a byte-level BPE, learnt as Qwen's was."""
    made = backends.Tokenizer(backends.models.BPE())
    cutters = backends.pre_tokenizers
    split = cutters.Split(backends.Regex(ranks.SPLIT), behavior="isolated")
    made.pre_tokenizer = cutters.Sequence([split, cutters.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = backends.trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=cutters.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(corpus * 3, trainer)
    letters = {letter: byte for byte, letter in ranks._letters().items()}
    tokens = sorted(made.get_vocab().items(), key=lambda one: one[1])
    lines = (
        f"{base64.b64encode(bytes(map(letters.__getitem__, t))).decode()} {i}\n" for i, (t, _) in enumerate(tokens)
    )
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("qwen") / "qwen.tiktoken")


@pytest.fixture(scope="module")
def ours(file):
    return tokenizer.load(file.parent)


@pytest.fixture(scope="module")
def theirs(file):
    lines = (line.split() for line in file.read_bytes().splitlines())
    table = {base64.b64decode(token): int(rank) for token, rank in lines}
    special = {name: len(table) + i for i, name in enumerate(ranks.SPECIALS)}
    return tiktoken.Encoding("qwen", pat_str=ranks.SPLIT, mergeable_ranks=table, special_tokens=special)


def expected(theirs, text):
    """As Qwen's own tokenizer does it."""
    return tuple(theirs.encode_ordinary(unicodedata.normalize("NFC", text)))


def test_ids_are_tiktokens(ours, theirs):
    @settings(max_examples=1500, deadline=None)
    @given(TEXTS)
    def check(text):
        assert ours.encode(text) == ours.encode(text, begins=True) == expected(theirs, text)

    check()
    assert any(len(theirs.encode_ordinary(text)) < len(text) / 3 for text in CORPUS), "it has learnt words"


def test_questions_have_tiktokens_ids(ours, theirs, questions):
    assert all(ours.encode(question) == expected(theirs, question) for question in questions)


def test_every_run_of_a_sign_is_joined_in_tiktokens_order(tmp_path, theirs):
    """Where several pairs make the same token, their order could tell."""
    write(
        tmp_path / "qwen.tiktoken", ["a" * n for n in range(1, 40)] + ["ab" * n for n in range(1, 9)] + ["aab" * 9], 300
    )
    ours = tokenizer.load(tmp_path)
    lines = (line.split() for line in (tmp_path / "qwen.tiktoken").read_bytes().splitlines())
    table = {base64.b64decode(token): int(rank) for token, rank in lines}
    theirs = tiktoken.Encoding("runs", pat_str=ranks.SPLIT, mergeable_ranks=table, special_tokens={})
    for letters in itertools.chain(("a" * n for n in range(200)), map("".join, itertools.product("ab", repeat=10))):
        assert list(ours.encode(letters)) == theirs.encode_ordinary(letters)


def test_text_comes_back_as_nfc_and_never_as_a_special_token(ours):
    first = min(one.id for one in ours.specials)

    @settings(max_examples=300, deadline=None)
    @given(TEXTS)
    def check(text):
        found = ours.encode(text)
        assert all(id < first for id in found)
        assert ours.decode(found) == unicodedata.normalize("NFC", text)

    check()


def test_special_tokens_stand_behind_the_ranks(ours, theirs):
    n = theirs.n_vocab - len(ranks.SPECIALS)
    assert len(ranks.SPECIALS) == 208, "151643 to 151850"
    assert [ours.special(name) for name in ranks.SPECIALS] == list(range(n, n + 208))
    assert (ours.bos, ours.eos, ours.vocab_size) == (None, n, n + 208)
    parts = (BEGIN, Special("<|im_start|>"), "user\n<|im_end|>", Special("<|im_end|>"))
    assert TokenCodec(ours).encode(Source.PROMPT, parts).ids == (n + 1, *expected(theirs, "user\n<|im_end|>"), n + 2)
    assert ours.decode((n, n + 1, *ours.encode(" a"), n + 5, n + 1000)) == " a"


def test_saved_and_loaded_are_the_same(file, ours, tmp_path):
    (tmp_path / "qwen.tiktoken").write_bytes(file.read_bytes())
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [700, 701]}')
    several = tokenizer.load(tmp_path)
    assert several.fingerprint != ours.fingerprint
    for t in (ours, several):
        t.save(tmp_path / f"{len(t.ends)}")
        again = tokenizer.load(tmp_path / f"{len(t.ends)}")
        for one in ("bos", "eos", "ends", "specials", "vocab_size", "fingerprint"):
            assert getattr(again, one) == getattr(t, one), one
        assert all(again.encode(text) == t.encode(text) for text in CORPUS)


def test_it_encodes_word_by_word(ours):
    assert ours._encode.cuts


@pytest.mark.parametrize("damage", ["not base64 at all\n", "IQ== x\n", "", "IQ== 1\n", None])
def test_a_torn_file_is_one_line(file, tmp_path, damage):
    path = tmp_path / "qwen.tiktoken"
    path.write_text("".join(file.read_text().splitlines(keepends=True)[:300]) if damage is None else damage)
    if damage is None:
        path.write_text(path.read_text().replace(" 7\n", " 8\n"))
    with pytest.raises(UserError, match=r"qwen.tiktoken") as e:
        tokenizer.load(path)
    assert "\n" not in str(e.value)
