"""A sentencepiece `tokenizer.model`: of Llama 2, Mistral, InternLM2, ChatGLM3, and what is made of them.

Three things the library doesn't do: text never becomes a special token, also where the file has it as a symbol to be
found in text; added tokens have ids beyond the file's own; text that goes on from other text gets no space before it.
"""

import dataclasses
import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import sentencepiece

from dsmath.error import UserError
from dsmath.text import token_files
from dsmath.text.token_files import Added, Beside

# Kinds of pieces in sentencepiece_model.proto. Of others no text is made: unknown, unused, bytes.
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
_SYMBOL = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]*[A-Za-z][^\[\]\s]*\]")  # how a symbol looks that is no text

CHATGLM = "ChatGLMTokenizer"
# tokenization_chatglm.py of chatglm3-6b: ids of their own, from the number of pieces on.
_CHATGLM_TOKENS = (
    *("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop"),
    *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
)
_CODE_LLAMA = ("CodeLlamaTokenizer", "CodeLlamaTokenizerFast")  # as Llama's with legacy=False, always
_OF_THEIR_OWN = (CHATGLM, "InternLM2Tokenizer", "InternLM2TokenizerFast")  # these know no `legacy`

# A protobuf message behind another one overrules it, field by field. normalizer_spec (3): add_dummy_prefix (3) and
# remove_extra_whitespaces (4) are false.
_AS_IT_STANDS = b"\x1a\x04\x18\x00\x20\x00"


class SentencePieceTokenizer:
    """A `tokenizer.model` with what lies beside it.

    `legacy` is transformers': by default a text begins as sentencepiece has it, with a space where the file says so, at
    the start of a sequence and behind every special token. With `legacy: false` (and Code Llama) it is put at the start
    of a sequence alone, whatever the file says.
    """

    def __init__(self, file: bytes, beside: Beside):
        own = list(_pieces(file))
        if beside.kind == CHATGLM:
            nine = (Added(name, len(own) + i) for i, name in enumerate(_CHATGLM_TOKENS))
            added = {token.id: token for token in (*nine, *beside.added)}
            beside = dataclasses.replace(beside, adds_bos=False, added=tuple(added[id] for id in sorted(added)))
        self._file, self._beside = file, beside
        self.specials = tuple({token.name: token for token in _specials(own, beside)}.values())
        guarded = _with_controls(file, {token.id for token in self.specials})
        self._whole = sentencepiece.SentencePieceProcessor(model_proto=guarded)
        self._inner = sentencepiece.SentencePieceProcessor(model_proto=guarded + _AS_IT_STANDS)
        self._ids = {token.name: token.id for token in self.specials}
        self._texts = {t.id: "" if t.special else t.name for t in beside.added if t.id >= len(own)}
        self._pieces = len(own)
        self.vocab_size = max(self._pieces, *(id + 1 for id in self._texts), 0)
        self.begins_behind_special = beside.kind not in _CODE_LLAMA and (
            beside.kind in _OF_THEIR_OWN or beside.legacy is not False
        )
        bos, eos = self._of_role("bos_token", self._whole.bos_id()), self._of_role("eos_token", self._whole.eos_id())
        if eos is None:
            raise UserError("the tokenizer.model names no end token; expected eos_token in tokenizer_config.json")
        self.bos, self.eos = None if beside.adds_bos is False else bos, eos
        self.ends = tuple(dict.fromkeys((eos, *beside.ends)))

    def encode(self, text: str, *, begins: bool = False) -> tuple[int, ...]:
        if begins and self.begins_behind_special:
            return tuple(self._whole.encode(text))
        space = " " if begins and text and self._beside.prefix is not False else ""
        return tuple(self._inner.encode(space + text))

    def decode(self, ids: Sequence[int]) -> str:
        texts: list[str] = []
        run: list[int] = []
        for id in ids:
            if 0 <= id < self._pieces:
                run.append(id)
            elif text := self._texts.get(id, ""):
                texts += [self._inner.decode(run), text]
                run = []
        return "".join((*texts, self._inner.decode(run)))

    def special(self, name: str) -> int:
        id = self._ids.get(name, self._whole.piece_to_id(name))
        if id == self._whole.unk_id() and name != self._whole.id_to_piece(id):
            raise UserError(f"the tokenizer has no special token {name!r}; choose a template that fits it")
        return id

    @property
    def fingerprint(self) -> str:
        said = json.dumps([self._beside.config(), self._beside.ends], sort_keys=True)
        return token_files.digest(self._file + said.encode())

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.model").write_bytes(self._file)
        (folder / token_files.CONFIG).write_text(json.dumps(self._beside.config(), indent=1), encoding="utf-8")
        token_files.write_ends(folder, self.ends)

    def _of_role(self, role: str, own: int) -> int | None:
        if (name := self._beside.names.get(role)) is not None:
            return self.special(name)
        return own if own >= 0 else None


def load(path: Path) -> SentencePieceTokenizer:
    """The tokenizer of such a file, with what lies beside it. Raises UserError for one that can't be read."""
    try:
        return SentencePieceTokenizer(path.read_bytes(), token_files.read(path.parent))
    except (RuntimeError, ValueError, IndexError) as e:
        raise UserError(f"cannot read {path}: {e}; expected a sentencepiece model: copy it again") from e


def _specials(own: Sequence[tuple[str, int]], beside: Beside) -> Iterator[Added]:
    """All tokens that text may not become: those that a file says are special, or that look like it."""
    for id, (name, kind) in enumerate(own):
        if kind == _CONTROL or (kind == _USER_DEFINED and _SYMBOL.fullmatch(name)) or id in beside.ends:
            yield Added(name, id)
    roles = {name for role, name in beside.names.items() if role != "unk_token"}
    yield from (Added(name, id) for id, (name, _) in enumerate(own) if name in roles)
    for token in beside.added:
        if token.special or token.id >= len(own):
            yield token


def _with_controls(file: bytes, ids: Collection[int]) -> bytes:
    """The model with these pieces as control symbols, which encoding never makes of text."""
    made, at = [], 0
    for id, (start, end) in enumerate(_fields(file, 1)):
        piece = file[start:end]
        if id in ids and _kind(piece) in (_NORMAL, _USER_DEFINED):
            piece += b"\x18\x03"  # type (3): control
            made += [file[at : start - len(_varint(end - start))], _varint(len(piece)), piece]
            at = end
    return b"".join((*made, file[at:]))


def _pieces(file: bytes) -> Iterator[tuple[str, int]]:
    """The pieces of a model, and of what kind they are."""
    for start, end in _fields(file, 1):
        piece = file[start:end]
        texts = [piece[a:b].decode() for a, b in _fields(piece, 1)]
        yield texts[-1] if texts else "", _kind(piece)


def _kind(piece: bytes) -> int:
    kinds = [_read_varint(piece, start)[0] for start, _ in _fields(piece, 3)]
    return kinds[-1] if kinds else _NORMAL


def _fields(message: bytes, wanted: int) -> Iterator[tuple[int, int]]:
    """Where the values of a field are in a protobuf message, whose own module wants a protobuf of its own release."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        match key & 7:
            case 0:
                end = _read_varint(message, at)[1]
            case 1:
                end = at + 8
            case 2:
                size, at = _read_varint(message, at)
                end = at + size
            case 5:
                end = at + 4
            case wire:
                raise ValueError(f"wire type {wire} in a protobuf message")
        if end > len(message):
            raise ValueError("a protobuf message ends early")
        if key >> 3 == wanted:
            yield at, end
        at = end


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes((*found, value))
