"""Tokenizers: what they all do, HF `tokenizer.json` files, and one trained on the spot for the demo."""

import functools
import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import tokenizers

from dsmath import storage
from dsmath.error import UserError
from dsmath.text import pieces, ranks, token_files
from dsmath.text.token_files import Added
from dsmath.text.words import WordEncoder

if TYPE_CHECKING:
    import gguf


FILES = ("tokenizer.json", ranks.NAME, "tokenizer.model")


class Tokenizer(Protocol):
    """Text to ids and back. Text never encodes to a special token, whatever it says."""

    vocab_size: int
    bos: int | None  # put before a prompt, None where the model was trained without
    eos: int
    ends: tuple[int, ...]  # all that end a generation, eos first
    begins_behind_special: bool  # whether text behind a special token is encoded as at the start of a sequence

    def encode(self, text: str, *, begins: bool = False) -> tuple[int, ...]:
        """The ids of text, without bos and eos. It goes on from other text, so that no space is added.

        Where it `begins` a sequence, it is encoded as the model's authors do it, some of whom put a space there.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, with the space before it where there is one; special tokens are left out, and ids that no
        token has. Incomplete UTF-8 becomes U+FFFD.
        """

    def special(self, name: str) -> int:
        """The id of a special token. Raises UserError if there is none of that name."""

    def save(self, folder: Path) -> None:
        """Write the files that `load(folder)` reads."""

    @property
    def specials(self) -> tuple[Added, ...]:
        """The tokens that no text becomes."""

    @property
    def fingerprint(self) -> str:
        """A short name for all that decides on ids and texts."""


class HFTokenizer:
    """A `tokenizer.json` of HF `tokenizers`, used raw: its post-processor is ignored, so that no token comes twice."""

    def __init__(self, backend: tokenizers.Tokenizer, *, bos: str | None, eos: str, ends: Sequence[int] = ()):
        backend.encode_special_tokens = True
        self._backend = backend
        spaced = _spaced(backend)
        self._inner = backend if spaced is None else _without_space(backend)
        self._encode = WordEncoder(self._inner)
        self._begin = self._encode if spaced is None else WordEncoder(backend)
        self._names = {"bos_token": bos, "eos_token": eos}
        self.vocab_size = backend.get_vocab_size()
        self.bos = None if bos is None else self.special(bos)
        self.eos = self.special(eos)
        self.ends = tuple(dict.fromkeys((self.eos, *ends)))
        self.begins_behind_special = spaced != "first"

    @functools.cached_property
    def specials(self) -> tuple[Added, ...]:
        found = self._backend.get_added_tokens_decoder().items()
        return tuple(Added(t.content, id, lstrip=t.lstrip, rstrip=t.rstrip) for id, t in found if t.special)

    def encode(self, text: str, *, begins: bool = False) -> tuple[int, ...]:
        return self._begin(text) if begins else self._encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        return self._inner.decode(list(ids), skip_special_tokens=True)

    def special(self, name: str) -> int:
        id = self._backend.token_to_id(name)
        if id is None:
            raise UserError(f"the tokenizer has no special token {name!r}; choose a template that fits it")
        return id

    @property
    def fingerprint(self) -> str:
        several = self.ends if len(self.ends) > 1 else ""
        return token_files.digest(f"{self._backend.to_str()} {self._names}{several}".encode())

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._backend.save(str(folder / "tokenizer.json"))
        config = self._names | {
            "add_bos_token": self.bos is not None,
            "tokenizer_class": "PreTrainedTokenizerFast",
        }
        (folder / token_files.CONFIG).write_text(json.dumps(config, indent=1))
        token_files.write_ends(folder, self.ends)


def load(path: Path) -> Tokenizer:
    """The tokenizer of a folder (the first of FILES that it has) or of one such file.

    bos and eos come from `tokenizer_config.json` beside it; a bos counts only where `add_bos_token` is not false.
    """
    path = storage.path(path)
    if path.is_dir():
        found = [path / name for name in FILES if (path / name).exists()]
        if not found:
            raise UserError(f"no tokenizer in {path}: expected {', '.join(FILES[:-1])} or {FILES[-1]}")
        path = found[0]
    if not path.exists():
        raise UserError(f"no tokenizer at {path}: expected a tokenizer.json, a tokenizer.model or a folder with one")
    if path.suffix == ".model":
        return pieces.load(path)
    beside = token_files.read(path.parent)
    if path.suffix == ".tiktoken":
        return HFTokenizer(ranks.backend(path), bos=None, eos=ranks.END, ends=beside.ends)
    try:
        backend = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as e:
        raise UserError(f"cannot read {path}: {e}") from e
    config = path.with_name(token_files.CONFIG)
    if not config.exists():
        raise UserError(f"no tokenizer_config.json beside {path}: it names the begin and end tokens")
    bos, eos = (beside.names.get(role) for role in ("bos_token", "eos_token"))
    if eos is None:
        raise UserError(f"{config} names no eos_token; expected the token that ends a text")
    _flag(backend, {eos, *([bos] if bos else []), *(token.name for token in beside.added if token.special)})
    return HFTokenizer(backend, bos=bos if bos and _puts(backend, bos, beside) else None, eos=eos, ends=beside.ends)


def _puts(backend: tokenizers.Tokenizer, bos: str, beside: token_files.Beside) -> bool:
    """Whether texts begin with bos: as `add_bos_token` says, else if Llama's tokenizers or the file's own rules do so.

    Qwen's and SmolLM2's name a bos that they don't put.
    """
    if beside.adds_bos is not None:
        return beside.adds_bos
    return "Llama" in beside.kind or backend.encode("").tokens[:1] == [bos]


def chat_template(folder: Path) -> str | None:
    """The chat template that an HF folder comes with, in Jinja: of chat_template.jinja, or of tokenizer_config.json.

    Of several it is the one named "default".
    """
    if (own := folder / "chat_template.jinja").exists():
        return own.read_text(encoding="utf-8")
    found = token_files.read_json(folder / token_files.CONFIG).get("chat_template")
    if isinstance(found, list):
        found = {one["name"]: one["template"] for one in found}.get("default")
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


def _flag(backend: tokenizers.Tokenizer, names: Collection[str]) -> None:
    """Have the tokens of these names special, also where the tokenizer.json has them as text."""
    added = {token.content: token for token in backend.get_added_tokens_decoder().values()}
    for name in sorted(names):
        token = added.get(name, tokenizers.AddedToken(name, normalized=False))
        if not token.special and backend.token_to_id(name) is not None:
            token.special = True
            backend.add_special_tokens([token])


def _spaced(backend: tokenizers.Tokenizer) -> str | None:
    """Where a tokenizer puts a space: at the "first" text of a sequence, "always", or nowhere."""
    normalizer, pre_tokenizer = (
        json.loads(part.__getstate__()) if part is not None else {}
        for part in (backend.normalizer, backend.pre_tokenizer)
    )
    if any(part["type"] == "Prepend" for part in _flat(normalizer, "normalizers")):
        return "always"
    for part in _flat(pre_tokenizer, "pretokenizers"):
        if part["type"] == "Metaspace" and part["prepend_scheme"] != "never":
            return part["prepend_scheme"]
        if part["type"] == "ByteLevel" and part["add_prefix_space"]:
            return "always"
    return None


def _without_space(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """The same tokenizer without a space before a text, and without taking one away where it decodes."""
    state = json.loads(backend.to_str())
    if normalizer := state["normalizer"]:
        kept = [part for part in _flat(normalizer, "normalizers") if part["type"] != "Prepend"]
        state["normalizer"] = {"type": "Sequence", "normalizers": kept}
    for part in _flat(state["pre_tokenizer"], "pretokenizers") + _flat(state["decoder"], "decoders"):
        match part["type"]:
            case "Metaspace":
                part["prepend_scheme"] = "never"
            case "ByteLevel":
                part["add_prefix_space"] = False
            case "Strip" if part["content"] == " ":
                part["start"] = 0
    made = tokenizers.Tokenizer.from_str(json.dumps(state))
    made.encode_special_tokens = True
    return made


def _flat(part: dict | None, several: str) -> list[dict]:
    """The parts of a part of a tokenizer, as its JSON has them."""
    if not part:
        return []
    return [one for nested in part[several] for one in _flat(nested, several)] if several in part else [part]
