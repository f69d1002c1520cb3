"""Sentences to train small tokenizers on, those tokenizers, and the same ones as `transformers` has them."""

import json
from pathlib import Path

import sentencepiece
import transformers
from transformers import tokenization_utils_sentencepiece as theirs

SENTENCES = [
    "Tom has 347 apples and 58 pears; how many more apples than pears does he have?",
    "Each of the 12 boxes weighs 3.5 kg, and she sells them for $4 each. What does she make in a week?",
    "The train is 120 meters long.\nHow many minutes does it take if it's twice as fast?",
    "小明有 12 个苹果，他吃了3个，还剩几个？",
    "一个长方形的长是8厘米，宽是5厘米，它的面积是多少平方厘米？",
    "```python\nx = 3 * 4\nprint(x)\n```",
    " leading, trailing ",
]


def train_pieces(folder: Path, **options) -> Path:
    """A sentencepiece model as Llama's, but for its size and the options."""
    folder.mkdir(parents=True, exist_ok=True)
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(line for text in SENTENCES * 20 for line in text.split("\n")))
    settings = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "vocab_size": 480} | options
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(folder / "tokenizer"), model_type="bpe", byte_fallback=True,
        minloglevel=2, **settings,
    )  # fmt: skip
    corpus.unlink()
    return folder / "tokenizer.model"


def write_config(folder: Path, **said) -> None:
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "LlamaTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(named | said))


def llama_of(file: Path, *, legacy: bool) -> transformers.LlamaTokenizer:
    """What `transformers` makes of a .model, past its reader, which wants a protobuf of its own release."""
    vocabulary, _, merges = theirs.SentencePieceExtractor(str(file)).extract()
    return transformers.LlamaTokenizer(vocab=vocabulary, merges=merges, legacy=legacy)


def slow_of(file: Path) -> theirs.SentencePieceBackend:
    """The tokenizer that works with sentencepiece itself, in its legacy way."""
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return theirs.SentencePieceBackend(vocab_file=str(file), legacy=True, **names)
