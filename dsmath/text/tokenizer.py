"""Tokenizers: HF `tokenizer.json` files, sentencepiece models, and one trained on the spot for the demo."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import sentencepiece
import tokenizers

from dsmath import storage
from dsmath.error import UserError
from dsmath.text.words import WordEncoder

if TYPE_CHECKING:
    import gguf

FINGERPRINT_CHARACTERS = 12


class Tokenizer(Protocol):
    """Text to ids and back. Text never encodes to a special token, whatever it says."""

    vocab_size: int
    bos: int | None  # put before a prompt, None where the model was trained without
    eos: int

    def encode(self, text: str) -> tuple[int, ...]:
        """The ids of text that continues a sequence: no bos, no eos, no added space."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special tokens are left out. Incomplete UTF-8 becomes U+FFFD."""

    def special(self, name: str) -> int:
        """The id of a special token. Raises UserError if there is none of that name."""

    def save(self, folder: Path) -> None:
        """Write the files that `load(folder)` reads."""

    @property
    def fingerprint(self) -> str:
        """A short name for all that decides on ids and texts."""


class HFTokenizer:
    """A `tokenizer.json` of HF `tokenizers`, used raw: its post-processor is ignored, so that no token comes twice."""

    def __init__(self, backend: tokenizers.Tokenizer, *, bos: str | None, eos: str):
        backend.encode_special_tokens = True
        self._backend = backend
        self._encode = WordEncoder(backend)
        self._names = {"bos_token": bos, "eos_token": eos}
        self.vocab_size = backend.get_vocab_size()
        self.bos = None if bos is None else self.special(bos)
        self.eos = self.special(eos)

    def encode(self, text: str) -> tuple[int, ...]:
        return self._encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        return self._backend.decode(list(ids), skip_special_tokens=True)

    def special(self, name: str) -> int:
        id = self._backend.token_to_id(name)
        if id is None:
            raise UserError(f"the tokenizer has no special token {name!r}; choose a template that fits it")
        return id

    @property
    def fingerprint(self) -> str:
        return _digest(f"{self._backend.to_str()} {self._names}".encode())

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._backend.save(str(folder / "tokenizer.json"))
        config = self._names | {
            "add_bos_token": self.bos is not None,
            "tokenizer_class": "PreTrainedTokenizerFast",
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))


class SentencePieceTokenizer:
    """A sentencepiece `tokenizer.model` (Llama 2, Mistral)."""

    # A piece that begins a text gets a dummy space; what goes on from other text must not. So text is encoded behind
    # a line that is cut off again.
    _BEFORE = "\n"

    def __init__(self, path: Path):
        self._file = path.read_bytes()
        self._backend = sentencepiece.SentencePieceProcessor(model_proto=self._file)
        self._cut = len(self._backend.encode(self._BEFORE))
        self.vocab_size = self._backend.vocab_size()
        self.bos = self._backend.bos_id() if self._backend.bos_id() >= 0 else None
        self.eos = self._backend.eos_id()

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._backend.encode(self._BEFORE + text)[self._cut :])

    def decode(self, ids: Sequence[int]) -> str:
        before = self._backend.encode(self._BEFORE)
        kept = [i for i in ids if not self._backend.is_control(i)]
        return self._backend.decode(before + kept)[len(self._backend.decode(before)) :]

    def special(self, name: str) -> int:
        id = self._backend.piece_to_id(name)
        if id == self._backend.unk_id():
            raise UserError(f"the tokenizer has no special token {name!r}; choose a template that fits it")
        return id

    @property
    def fingerprint(self) -> str:
        return _digest(self._file)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.model").write_bytes(self._file)


def load(path: Path) -> Tokenizer:
    """The tokenizer of a folder (`tokenizer.json` preferred over `tokenizer.model`) or of one such file.

    bos and eos come from `tokenizer_config.json` beside a `tokenizer.json`; a bos counts only where `add_bos_token`
    is not false.
    """
    path = storage.path(path)
    if path.is_dir():
        found = [path / name for name in ("tokenizer.json", "tokenizer.model") if (path / name).exists()]
        if not found:
            raise UserError(f"no tokenizer in {path}: expected tokenizer.json or tokenizer.model")
        path = found[0]
    if not path.exists():
        raise UserError(f"no tokenizer at {path}: expected a tokenizer.json, a tokenizer.model or a folder with one")
    if path.suffix == ".model":
        return SentencePieceTokenizer(path)
    try:
        backend = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as e:
        raise UserError(f"cannot read {path}: {e}") from e
    beside = path.with_name("tokenizer_config.json")
    if not beside.exists():
        raise UserError(f"no tokenizer_config.json beside {path}: it names the begin and end tokens")
    config = json.loads(beside.read_text())
    bos, eos = (_token_name(config.get(key)) for key in ("bos_token", "eos_token"))
    if eos is None:
        raise UserError(f"{beside} names no eos_token; expected the token that ends a text")
    return HFTokenizer(backend, bos=bos if config.get("add_bos_token", True) else None, eos=eos)


def chat_template(folder: Path) -> str | None:
    """The chat template that an HF folder comes with, in Jinja: of chat_template.jinja, or of tokenizer_config.json."""
    if (own := folder / "chat_template.jinja").exists():
        return own.read_text(encoding="utf-8")
    beside = folder / "tokenizer_config.json"
    found = json.loads(beside.read_text(encoding="utf-8")).get("chat_template") if beside.exists() else None
    return found if isinstance(found, str) else None


def from_gguf(path: Path, opened: "gguf.GGUFReader | None" = None) -> HFTokenizer:
    """The byte-level BPE inside a GGUF file, with the pre-tokenizer of SmolLM2 ("smollm": every digit on its own).

    Parsing the file takes seconds; whoever has `opened` it spares them.
    """
    import gguf  # here alone, so that scoring and help don't pay for it

    fields = (opened or gguf.GGUFReader(path)).fields
    kind = (fields["tokenizer.ggml.model"].contents(), fields["tokenizer.ggml.pre"].contents())
    if kind != ("gpt2", "smollm"):
        raise UserError(f"{path} has a tokenizer of kind {kind}; expected ('gpt2', 'smollm')")
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    control = [t for t, kind in zip(tokens, fields["tokenizer.ggml.token_type"].contents(), strict=True) if kind == 3]
    backend = tokenizers.Tokenizer(tokenizers.models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Digits(individual_digits=True),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.add_special_tokens(control)
    bos = (
        fields["tokenizer.ggml.bos_token_id"].contents() if fields["tokenizer.ggml.add_bos_token"].contents() else None
    )
    eos = fields["tokenizer.ggml.eos_token_id"].contents()
    return HFTokenizer(backend, bos=None if bos is None else tokens[bos], eos=tokens[eos])


def train(texts: Iterable[str], *, vocab_size: int) -> HFTokenizer:
    """A byte-level BPE of `texts` that cuts numbers into groups of up to three digits, from the left.

    A small model learns to copy a group much sooner than to copy digit by digit.
    """
    bos, eos = "<|begin|>", "<|end|>"
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(r"\d{1,3}"), behavior="isolated"),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[bos, eos],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return HFTokenizer(backend, bos=bos, eos=eos)


def _token_name(value: str | dict | None) -> str | None:
    """A token as tokenizer_config.json writes it: a string, or an AddedToken record."""
    return value["content"] if isinstance(value, dict) else value


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:FINGERPRINT_CHARACTERS]
