"""Ids of sentencepiece models are those of their authors' tokenizers; no text is a special token."""

import json
import pickle

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from dsmath.error import UserError
from dsmath.records import Source
from dsmath.text import pieces, tokenizer
from dsmath.text.codec import TokenCodec
from dsmath.text.template import APART, BEGIN, Special
from tests.text.sentences import SENTENCES, llama_of, slow_of, train_pieces, write_config

SYMBOLS = ["<|im_start|>", "<|im_end|>", "[UNUSED_TOKEN_145]", "\n\n"]
NAMES = [*SYMBOLS[:3], "<s>", "</s>", "<unk>", "[PAD]", "<pad>", "[gMASK]", "sop", "<|user|>", "<0x41>", "\u2581"]
TEXTS = st.lists(st.one_of(st.sampled_from([*NAMES, " ", "\n", "12", "Tom has"]), st.text(max_size=4)), max_size=12)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A folder with a model as Llama's."""
    return train_pieces(tmp_path_factory.mktemp("plain")).parent


@pytest.fixture(scope="module")
def symbols(tmp_path_factory):
    """A model that finds symbols in text, from id 3 on."""
    return train_pieces(tmp_path_factory.mktemp("symbols"), user_defined_symbols=SYMBOLS).parent


@pytest.fixture
def configured(plain, symbols, tmp_path):
    """A tokenizer of one of these models, with files beside it."""

    def of(folder="plain", files=(), **said):
        for old in tmp_path.glob("*.*"):
            old.unlink()
        model = {"plain": plain, "symbols": symbols}[folder] / "tokenizer.model"
        (tmp_path / "tokenizer.model").write_bytes(model.read_bytes())
        write_config(tmp_path, **said)
        for name, content in dict(files).items():
            (tmp_path / name).write_text(json.dumps(content))
        return tokenizer.load(tmp_path)

    return of


def ids(t, *parts, source=Source.PROMPT):
    return list(TokenCodec(t).encode(source, parts).ids)


@pytest.mark.parametrize("legacy", [True, False])
def test_prompts_are_those_of_transformers_llama(plain, configured, questions, legacy):
    ours, theirs = configured(legacy=legacy), llama_of(plain / "tokenizer.model", legacy=legacy)
    differ = 0
    for question in [*questions, *SENTENCES[:6]]:
        alone = theirs.encode(question, add_special_tokens=False)
        assert ids(ours, BEGIN, question) == [1, *alone]
        behind = theirs.encode(f"User:</s>{question}</s>\n<s>{question}", add_special_tokens=False)
        end, begin = Special("</s>"), Special("<s>")
        assert ids(ours, "User:", end, question, end, "\n", begin, question) == behind
        differ += behind[-len(alone) :] != alone
    assert differ == (0 if legacy else 406), "only where it isn't legacy, a text behind a token is another one"


def test_legacy_prompts_are_those_of_sentencepiece_itself(plain, configured, questions):
    theirs = slow_of(plain / "tokenizer.model")
    for ours in (configured(), configured(legacy=True), configured(tokenizer_class="InternLM2Tokenizer", legacy=False)):
        for question in [*questions[::9], "  two spaces", " one", "\n"]:
            text = f"User:</s>{question}</s>{question}"
            parts = ("User:", Special("</s>"), question, Special("</s>"), question)
            assert ids(ours, *parts) == theirs.encode(text, add_special_tokens=False)


def test_the_flag_is_another_matter_for_code_llama_and_a_prefix_can_be_off(configured):
    code, parts = configured(tokenizer_class="CodeLlamaTokenizer"), (BEGIN, "Tom", Special("</s>"), "Tom")
    assert ids(code, *parts) == ids(configured(legacy=False), *parts) != ids(configured(), *parts)
    off = configured(legacy=False, add_prefix_space=False)
    assert off.encode("Tom", begins=True) == off.encode("Tom") != configured(legacy=False).encode("Tom", begins=True)


def test_a_model_without_a_dummy_prefix_begins_as_it_goes_on(tmp_path, questions):
    path = train_pieces(tmp_path, add_dummy_prefix=False)
    ours, theirs = tokenizer.load(path), sentencepiece.SentencePieceProcessor(model_file=str(path))
    for question in questions:
        assert list(ours.encode(question, begins=True)) == theirs.encode(question) == list(ours.encode(question))


def test_a_model_that_drops_white_space_does_so_where_a_text_begins(tmp_path):
    path = train_pieces(tmp_path, remove_extra_whitespaces=True, normalization_rule_name="nmt_nfkc")
    ours, theirs = tokenizer.load(path), sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert list(ours.encode("  Tom   has ", begins=True)) == theirs.encode("  Tom   has ")
    assert ours.decode(ours.encode("Tom") + ours.encode("  has ") + ours.encode("5")) == "Tom  has 5"


def kinds(configured):
    yield configured()
    yield configured(legacy=False, files={"added_tokens.json": {"[PAD]": 480, "<pad>": 481}}, pad_token="<pad>")
    yield configured("symbols")
    yield configured("symbols", tokenizer_class="InternLM2Tokenizer", added_tokens_decoder={"5": record("<|end|>")})
    yield configured(tokenizer_class="ChatGLMTokenizer")


def record(name, special=True):
    return {"content": name, "special": special, "lstrip": False, "rstrip": False}


@pytest.mark.parametrize("kind", range(5))
def test_text_comes_back_and_never_as_a_special_token(configured, kind):
    t = list(kinds(configured))[kind]
    t = pickle.loads(pickle.dumps(t))
    special = {one.id for one in t.specials}
    assert {t.bos, t.eos} - {None} <= special

    @settings(max_examples=300, deadline=None)
    @given(TEXTS.map("".join))
    def check(text):
        text = text.replace("\u2581", " ")  # which is what it stands for
        for begins in (False, True):
            found = t.encode(text, begins=begins)
            assert not special.intersection(found)
            assert t.decode(found) == (" " if begins and text else "") + text
        assert t.decode((*t.encode(text), t.eos, *t.encode(" 5"))) == text + " 5"

    check()
    for name in NAMES:
        assert not special.intersection(t.encode(name))


def test_the_model_would_find_its_symbols_in_text_and_finds_those_that_are_text(symbols, configured):
    """Else the test above shows nothing."""
    raw = sentencepiece.SentencePieceProcessor(model_file=str(symbols / "tokenizer.model"))
    assert {3, 4, 5} <= set(raw.encode("".join(SYMBOLS)))
    t = configured("symbols")
    assert 6 in t.encode("Tom\n\nhas"), "a blank line is a token of its own, and no special one"
    assert t.special("<|im_end|>") == 4
    assert t.decode((4, *t.encode("x"), 4)) == "x"


def test_added_tokens_have_ids_beyond_the_model(configured):
    said = {"480": record("[PAD]"), "483": record("<note>", special=False)}
    numbers = {"added_tokens.json": {"[PAD]": 480, "<extra>": 482}}
    t = configured(files=numbers, added_tokens_decoder=said, pad_token="[PAD]")
    assert (t.special("[PAD]"), t.special("<extra>"), t.special("<note>"), t.vocab_size) == (480, 482, 483, 484)
    assert t.decode((*t.encode("a"), 480, 483, *t.encode(" b"))) == "a<note> b"
    with pytest.raises(UserError, match="no special token"):
        t.special("<|im_start|>")


def test_ids_that_no_token_has_are_no_text(configured):
    for t in kinds(configured):
        assert t.decode((*t.encode("a"), 479 + 1000, t.vocab_size, *t.encode(" b"))) == "a b"


def test_the_end_is_what_the_files_say(configured):
    assert configured().ends == (2,)
    assert configured("symbols", eos_token="<|im_end|>").eos == 4
    assert configured(files={"generation_config.json": {"eos_token_id": [2, 7]}}).ends == (2, 7)
    assert configured(files={"generation_config.json": {"eos_token_id": 7}}).ends == (2, 7)
    assert 7 not in configured().encode("\n\n")
    assert configured(add_bos_token=False).bos is None


def test_chatglm3_has_nine_tokens_behind_the_model_and_encodes_every_piece_apart(plain, configured, questions):
    t = configured(tokenizer_class="ChatGLMTokenizer", files={"config.json": {"eos_token_id": 2}})
    raw = sentencepiece.SentencePieceProcessor(model_file=str(plain / "tokenizer.model"))
    names = ["[MASK]", "[gMASK]", "[sMASK]", "sop", "eop", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]
    assert [t.special(name) for name in names] == list(range(480, 489))
    assert (t.bos, t.eos, t.vocab_size) == (None, 2, 489)
    for question in questions:
        prefix, turn = (Special("[gMASK]"), Special("sop")), (Special("<|user|>"), "\n", APART, question)
        assert ids(t, BEGIN, *prefix, *turn, Special("<|assistant|>")) == [
            481,
            483,
            486,
            *raw.encode("\n"),
            *raw.encode(question),
            487,
        ]


def test_internlm2_names_pieces_anew(configured):
    t = configured("symbols", tokenizer_class="InternLM2Tokenizer", added_tokens_decoder={"5": record("<|end|>")})
    assert t.special("<|end|>") == t.special("[UNUSED_TOKEN_145]") == 5
    assert 5 not in t.encode("<|end|>[UNUSED_TOKEN_145]")


def test_seallm_writes_its_marks_as_text(configured):
    t = configured(legacy=False)
    found = ids(t, BEGIN, "<|im_start|>user\n5", Special("</s>"), "<|im_start|>assistant\n")
    assert found.count(1) == found.count(2) == 1
    assert t.decode(found) == " <|im_start|>user\n5<|im_start|>assistant\n"
    assert found[1:].index(2) == len(t.encode("<|im_start|>user\n5", begins=True))


@pytest.mark.parametrize("kind", range(5))
def test_saved_and_loaded_are_the_same(configured, tmp_path, kind):
    t = list(kinds(configured))[kind]
    t.save(tmp_path / "again")
    again = tokenizer.load(tmp_path / "again")
    assert isinstance(again, pieces.SentencePieceTokenizer)
    for one in ("bos", "eos", "ends", "specials", "vocab_size", "begins_behind_special", "fingerprint"):
        assert getattr(again, one) == getattr(t, one), one
    text = "".join(SENTENCES)
    assert all(again.encode(text, begins=begins) == t.encode(text, begins=begins) for begins in (False, True))


def test_what_changes_ids_or_ends_changes_the_fingerprint(configured):
    several = {"generation_config.json": {"eos_token_id": [2, 7]}}
    made = [*kinds(configured), configured(legacy=False), configured(add_bos_token=False), configured(files=several)]
    assert len({t.fingerprint for t in made}) == len(made)


@pytest.mark.parametrize("content", [b"", b"\x0a\xff\xff\xff\xff\x0f", b"no model"])
def test_a_torn_model_is_one_line(tmp_path, content):
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(UserError, match=r"tokenizer.model") as e:
        tokenizer.load(tmp_path)
    assert "\n" not in str(e.value)
