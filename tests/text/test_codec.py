"""Pieces keep their text; ids stand beside it, whatever the tokenizer does to texts."""

import pytest
import tokenizers as backends

from dsmath.records import Example, Piece, Source
from dsmath.text import template, tokenizer
from dsmath.text.codec import TextCodec, TokenCodec, end_token, end_tokens
from dsmath.text.template import APART, BEGIN, Special

REFERENCE = template.find("reference")


@pytest.fixture(scope="module")
def trained():
    return tokenizer.train(["What is 12 * 34? User: Assistant: Please reason x y ."] * 5, vocab_size=400)


@pytest.fixture(scope="module")
def codec(trained):
    return TokenCodec(trained)


def with_token(text: str) -> tokenizer.HFTokenizer:
    """A byte-level tokenizer in which one text, of two characters, is one token."""
    alphabet = sorted(backends.pre_tokenizers.ByteLevel.alphabet())
    pair = [backends.pre_tokenizers.ByteLevel(False, use_regex=False).pre_tokenize_str(c)[0][0] for c in text]
    vocab = {token: i for i, token in enumerate([*alphabet, "".join(pair), "<end>"])}
    backend = backends.Tokenizer(backends.models.BPE(vocab=vocab, merges=[tuple(pair)]))
    backend.pre_tokenizer = backends.pre_tokenizers.ByteLevel(False, use_regex=False)
    backend.decoder = backends.decoders.ByteLevel()
    backend.add_special_tokens(["<end>"])
    return tokenizer.HFTokenizer(backend, bos=None, eos="<end>")


def test_special_tokens_are_ids_and_text_never_is(trained, codec):
    piece = codec.encode(Source.PROMPT, (BEGIN, "<|end|> <|begin|>", Special("<|end|>")))
    assert piece.ids == (trained.bos, *trained.encode("<|end|> <|begin|>"), trained.eos)
    assert piece.ids.count(trained.eos) == piece.ids.count(trained.bos) == 1
    assert piece.text == "<|end|> <|begin|><|end|>"
    assert TokenCodec(with_token("ab")).encode(Source.PROMPT, (BEGIN, "x")).ids == with_token("ab").encode("x")


def spaced(scheme: str) -> tokenizer.HFTokenizer:
    """A tokenizer that puts a space before the first text of a sequence, or before every one."""
    backend = backends.Tokenizer(backends.models.BPE(vocab={c: i for i, c in enumerate("\u2581abc|")}, merges=[]))
    backend.pre_tokenizer = backends.pre_tokenizers.Metaspace(prepend_scheme=scheme)
    backend.decoder = backends.decoders.Metaspace(prepend_scheme=scheme)
    backend.add_special_tokens(["<s>", "</s>"])
    return tokenizer.HFTokenizer(backend, bos="<s>", eos="</s>")


@pytest.mark.parametrize(("scheme", "behind"), [("always", "\u2581b"), ("first", "b"), ("never", "b")])
def test_a_prompt_begins_as_the_tokenizer_begins_texts_and_all_else_goes_on(scheme, behind):
    t = spaced(scheme)
    codec = TokenCodec(t)

    def letters(*parts, source=Source.PROMPT):
        return "".join(map("\u2581abc|()".__getitem__, codec.encode(source, parts).ids))  # ( begins, ) ends

    space = "" if scheme == "never" else "\u2581"
    assert letters("a") == f"{space}a"
    assert letters("", "a") == f"{space}a"
    assert letters(BEGIN, "a", Special("</s>"), "b") == f"({space}a){behind}"
    assert letters(BEGIN, "a", APART, "b") == f"({space}a{space}b"
    assert letters("a", "b") == f"{space}ab", "texts that meet are one"
    assert letters("a", source=Source.MODEL) == letters("a", source=Source.TOOL) == "a"
    assert letters("a", Special("</s>"), "b", source=Source.FRAME) == f"a){behind}"
    assert t.decode(t.encode(" a")) == " a"
    assert t.decode(t.encode("a", begins=True) + t.encode(" b")) == f"{' ' if space else ''}a b"


def test_a_begin_token_never_comes_twice():
    t = spaced("never")
    codec = TokenCodec(t)
    assert codec.encode(Source.PROMPT, (BEGIN, BEGIN, "a")).ids == codec.encode(Source.PROMPT, (BEGIN, "a")).ids
    assert codec.encode(Source.PROMPT, (Special("<s>"), BEGIN)).ids == (t.bos,)


def test_cutting_drops_whole_tokens_and_encodes_only_what_is_left(trained, codec):
    def cut(ids, text, length, by=codec):
        piece = by.cut(Piece(Source.MODEL, text, ids), length)
        assert piece.text == text[:length]
        return piece.ids

    x, newline, space = (trained.encode(text) for text in ("x", "\n", " "))
    assert cut(x, "x", 1) == x
    assert cut(x + newline + space, "x\n ", 1) == x
    assert cut(newline, "\n", 0) == ()
    mixed = TokenCodec(with_token(".\n"))
    x, both = mixed.tokenizer.encode("x"), mixed.tokenizer.encode(".\n")
    assert len(both) == 1, "text and white space share a token"
    assert cut(x + both, "x.\n", 2, mixed) == x + mixed.tokenizer.encode(".")
    character = trained.encode("\u4e2d")
    assert len(character) == 3
    assert cut(character[:2], "\ufffd", 1) == character[:2], "half a character stays, for its other half"


def test_a_character_in_two_pieces_is_whole_when_they_are_joined(trained, codec):
    ids = trained.encode("It is \u4e2d.")
    first = Piece(Source.MODEL, trained.decode(ids[:-2]), ids[:-2])
    second = Piece(Source.MODEL, trained.decode(ids[-2:]), ids[-2:])
    assert "\ufffd" in first.text
    assert codec.join(first, second) == Piece(Source.MODEL, "It is \u4e2d.", ids)


def test_a_long_text_is_clipped_to_its_ends(trained, codec):
    text = "0" * 60 + "1" * 60
    assert codec.clip(text, len(trained.encode(text))) == text
    clipped = codec.clip(text, 10)
    assert clipped.startswith("00")
    assert clipped.endswith("11")
    assert " ... " in clipped
    assert len(clipped) < len(text)


def example() -> Example:
    solution = template.with_program("We compute.", "print(12 * 34)", "408", "It is \\boxed{408}.")
    return Example("e", "own", "en", "tool", "What is 12 * 34?", solution, "408")


def test_an_example_has_one_writer_per_token_and_ends_with_the_models_end(trained, codec):
    pieces = codec.example(example(), REFERENCE)
    text = {source: "".join(p.text for p in pieces if p.source is source) for source in Source}
    assert text[Source.PROMPT].startswith("User: What is 12 * 34?")
    assert text[Source.TOOL] == "408"
    assert text[Source.FRAME] == "\n\n```\n"
    assert text[Source.MODEL] == " We compute.\n```python\nprint(12 * 34)\n```\n```outputIt is \\boxed{408}."
    assert pieces[-1] == Piece(Source.MODEL, "", (trained.eos,))
    assert all(trained.decode(piece.ids) == piece.text for piece in pieces)


def test_training_and_evaluation_see_the_same_ids(trained, codec):
    """A solution that is generated round by round is the solution that was trained on."""
    prompt, first, *_, last, end = codec.example(example(), REFERENCE)
    appended = [codec.encode(source, parts) for source, parts in REFERENCE.output("408", asked=True)]
    ids = [id for piece in (prompt, first, *appended, last, end) for id in piece.ids]
    assert ids == [id for piece in codec.example(example(), REFERENCE) for id in piece.ids]
    assert first.ids == trained.encode(" We compute.\n```python\nprint(12 * 34)\n```")


def test_generation_stops_at_the_turns_end_the_sequences_end_and_what_asks(trained):
    assert end_token(REFERENCE, trained) == trained.eos
    assert end_tokens(REFERENCE, trained) == {trained.eos}
    several = tokenizer.HFTokenizer(trained._backend, bos=None, eos="<|end|>", ends=(trained.special("?"),))
    assert end_tokens(REFERENCE, several) == {trained.eos, trained.special("?")}
    asking = template.Template("own", (), (), (), end="<|begin|>", stops=("text", Special("?")))
    assert end_tokens(asking, trained) == {trained.bos, trained.eos, trained.special("?")}


def test_a_codec_of_text_alone_has_no_ids_and_the_same_texts():
    codec, parts = TextCodec(), template.find("chatml").prompt("2 + 2?", lang="en", mode="cot")
    prompt = codec.encode(Source.PROMPT, (BEGIN, *parts))
    assert prompt == Piece(Source.PROMPT, template.written(parts))
    assert prompt.text.startswith("<|im_start|>system\n")
    said = Piece(Source.MODEL, "so 4 ")
    assert codec.cut(said, 4) == Piece(Source.MODEL, "so 4")
    assert codec.join(said, Piece(Source.MODEL, "it is")) == Piece(Source.MODEL, "so 4 it is")
    assert codec.clip("short", 100) == "short"
    assert codec.clip("x" * 500 + "y" * 500, 100) == "x" * 200 + " ... " + "y" * 200
