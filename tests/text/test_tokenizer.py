"""Tokenizers: round trips, special tokens, files."""

import json

import pytest
import sentencepiece
import tokenizers as backends
from hypothesis import given, settings
from hypothesis import strategies as st

from dsmath.error import UserError
from dsmath.records import Source
from dsmath.text import pieces, tokenizer
from dsmath.text.codec import TokenCodec
from dsmath.text.template import BEGIN
from tests.text.sentences import llama_of

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


def test_several_ends_are_kept(trained, tmp_path):
    several = tokenizer.HFTokenizer(trained._backend, bos="<|begin|>", eos="<|end|>", ends=[7, trained.eos, 8])
    assert several.ends == (trained.eos, 7, 8)
    assert several.fingerprint != trained.fingerprint
    several.save(tmp_path)
    again = tokenizer.load(tmp_path)
    assert (again.ends, again.fingerprint) == (several.ends, several.fingerprint)
    assert trained.ends == (trained.eos,)


def test_ids_that_no_token_has_are_no_text(trained):
    assert trained.decode((*trained.encode("Tom"), trained.vocab_size, 10**6, *trained.encode(" has"))) == "Tom has"


def test_a_tokenizer_json_comes_first(trained, sentencepiece_file, tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece_file.read_bytes())
    assert isinstance(tokenizer.load(tmp_path), pieces.SentencePieceTokenizer)
    trained.save(tmp_path)
    assert isinstance(tokenizer.load(tmp_path), tokenizer.HFTokenizer)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer.model").unlink()
    with pytest.raises(UserError, match=r"expected tokenizer.json, qwen.tiktoken or tokenizer.model"):
        tokenizer.load(tmp_path)


def test_deepseeks_tokenizer_json_is_used_raw_and_begins_once(trained, tmp_path):
    """Its files say that it is Llama's, and a post-processor puts the begin token, too."""
    trained.save(tmp_path)
    backend = backends.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    backend.post_processor = backends.processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", trained.bos)]
    )
    backend.save(str(tmp_path / "tokenizer.json"))
    config = {"tokenizer_class": "LlamaTokenizerFast", "legacy": True, "add_bos_token": True}
    names = {"bos_token": {"content": "<|begin|>"}, "eos_token": "<|end|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | names))
    ids = TokenCodec(tokenizer.load(tmp_path)).encode(Source.PROMPT, (BEGIN, TEXTS[0])).ids
    assert ids == (trained.bos, *trained.encode(TEXTS[0]))


NAMES = ["<|begin|>", "<|end|>", "<s>", "</s>", "<|own|>", "<unk>"]
ANY = st.lists(st.one_of(st.sampled_from([*NAMES, " ", "\n", "Tom has"]), st.text(max_size=4)), max_size=12).map(
    "".join
)


def flagged_beside(trained, folder) -> tokenizer.Tokenizer:
    """One whose tokenizer.json has as text what the file beside it has as special tokens."""
    backend = backends.Tokenizer.from_str(trained._backend.to_str())
    backend.add_tokens(["<|own|>", "</s>"])
    backend.save(str(folder / "tokenizer.json"))
    added = {str(backend.token_to_id("<|own|>")): {"content": "<|own|>", "special": True}}
    config = {"eos_token": "</s>", "bos_token": None, "added_tokens_decoder": added}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return tokenizer.load(folder)


def llamas(sentencepiece_file, folder) -> tokenizer.Tokenizer:
    """A tokenizer.json with a space before texts, as `transformers` writes one."""
    llama_of(sentencepiece_file, legacy=True).save_pretrained(folder)
    return tokenizer.load(folder)


@pytest.mark.parametrize("kind", ["trained", "flagged beside", "Llama's"])
def test_text_comes_back_and_never_as_a_special_token(trained, sentencepiece_file, tmp_path, kind):
    makers = {"flagged beside": (flagged_beside, trained), "Llama's": (llamas, sentencepiece_file)}
    make, of = makers.get(kind, (lambda of, _: of, trained))
    t = make(of, tmp_path)
    special = {one.id for one in t.specials}
    assert len(special) >= 2
    assert t.eos in special

    @settings(max_examples=400, deadline=None)
    @given(ANY)
    def check(text):
        text = text.replace("\u2581", " ") if kind == "Llama's" else text
        found = t.encode(text)
        assert not special.intersection((*found, *t.encode(text, begins=True)))
        assert t.decode(found) == text
        assert t.decode((*found, t.eos, *t.encode(" 5"))) == f"{text} 5"

    check()
    assert not any(special.intersection(t.encode(name)) for name in NAMES)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "special_tokens_map.json", "generation_config.json"])
@pytest.mark.parametrize("content", ["{ torn", "[1]"])
def test_a_torn_file_beside_it_is_one_line(trained, tmp_path, name, content):
    trained.save(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=rf"cannot read .*{name}") as e:
        tokenizer.load(tmp_path)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("content", [None, "{ torn"])
def test_a_missing_or_torn_file_is_one_line(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError) as e:
        tokenizer.load(path)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("said", "rule", "puts"),
    [
        ({"tokenizer_class": "GPT2Tokenizer"}, False, False),
        ({"tokenizer_class": "GPT2Tokenizer"}, True, True),
        ({"tokenizer_class": "LlamaTokenizerFast"}, False, True),
        ({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True}, False, True),
        ({"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": False}, True, False),
    ],
)
def test_a_bos_is_put_where_the_files_or_the_kind_have_it(trained, tmp_path, said, rule, puts):
    """Files may name one that no text begins with."""
    trained.save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config.pop("add_bos_token", None)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | said))
    if rule:
        backend = backends.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        backend.post_processor = backends.processors.TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", backend.token_to_id("<|begin|>"))]
        )
        backend.save(str(tmp_path / "tokenizer.json"))
    loaded = tokenizer.load(tmp_path)
    assert loaded.bos == (trained.bos if puts else None)
    ids = TokenCodec(loaded).encode(Source.PROMPT, (BEGIN, "Tom has 347 apples.")).ids
    assert ids.count(trained.bos) == puts
