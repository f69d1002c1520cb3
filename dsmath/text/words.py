"""Encoding word by word: the ids of `tokenizers`, in a quarter of its time.

A pre-tokenizer cuts a text into words, and byte-level BPE encodes each of them by itself. Words repeat: a regular
expression of Python's that cuts alike, and a dictionary from words to their ids, are all that most texts need. Whatever
isn't known to be cut alike is left to `tokenizers`: another pre-tokenizer, model or normalizer, and any text with a
character outside ALPHABET, so that neither side's version of Unicode matters.
"""

import itertools
import json
import re

import tokenizers

from dsmath.text import ranks

_SPACE = " \t\n\r"
_LATIN = "A-Za-z"
_HAN = "一-龥"
_SIGNS = "!-/:-@\\[-`{-~" + "！-／：-＠［-｀｛-～、。‘-‟"  # punctuation and symbols of ASCII and of Chinese
ALPHABET = re.compile(f"[{_SPACE}{_LATIN}0-9{_HAN}{_SIGNS}]*")

MOST_WORDS = 1 << 17  # that are remembered, some 20 MB
LONGEST = 24  # characters of a word that is: runs of Chinese are words, and hardly repeat

# By the parts of a pre-tokenizer (see `_parts`), what cuts the same words out of a text in ALPHABET. The words of GPT-2
# (ByteLevel's own expression) end where digits were cut out before.
_GPT2 = (
    f"'(?:s|t|re|ve|m|ll|d)| ?[{_LATIN}{_HAN}]+| ?[{_SIGNS}]+"
    f"|[{_SPACE}]+(?=[0-9])|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]+"
)
_LETTERS = "letters"  # stands for an expression that is `_is_latin`
_CUTS = {
    (("Digits", True), ("ByteLevel", True)): f"[0-9]|{_GPT2}",  # SmolLM2
    (("Split", r"\d{1,3}"), ("ByteLevel", True)): f"[0-9]{{1,3}}|{_GPT2}",  # `tokenizer.train`
    (("Split", ranks.SPLIT), ("ByteLevel", False)): (  # Qwen
        f"'(?i:s|t|re|ve|m|ll|d)|[ \\t{_SIGNS}]?[{_LATIN}{_HAN}]+|[0-9]| ?[{_SIGNS}]+[\\r\\n]*"
        f"|[{_SPACE}]*[\\r\\n]+|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]+"
    ),
    (  # DeepSeek LLM, and with it DeepSeekMath
        ("Split", "[\r\n]"),
        ("Split", _LETTERS),
        ("Split", r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
        ("Split", r"\s+$"),
        ("Split", "[一-龥ࠀ-一가-퟿]+"),
        ("Digits", True),
        ("ByteLevel", False),
    ): f"[\r\n]|[ \t]?[{_LATIN}]+|[ \t]?[{_SIGNS}]+|[0-9]|[{_HAN}]+|[ \t]+(?=[ \t][{_LATIN}{_SIGNS}])|[ \t]+",
}


class WordEncoder:
    """The ids of texts, without special tokens, as `backend.encode` gives them."""

    def __init__(self, backend: tokenizers.Tokenizer):
        self._ids = _Ids(backend)
        self._cut = _cut_of(backend)

    def __call__(self, text: str) -> tuple[int, ...]:
        if self._cut is None or ALPHABET.fullmatch(text) is None:
            return self._ids.of(text)
        return tuple(itertools.chain.from_iterable(map(self._ids.__getitem__, self._cut.findall(text))))

    @property
    def cuts(self) -> bool:
        """Whether the tokenizer is one whose words are known."""
        return self._cut is not None


class _Ids(dict[str, tuple[int, ...]]):
    """Ids by word, found out when first asked for."""

    def __init__(self, backend: tokenizers.Tokenizer):
        super().__init__()
        self._backend = backend

    def __missing__(self, word: str) -> tuple[int, ...]:
        ids = self.of(word)
        if len(word) <= LONGEST:
            if len(self) >= MOST_WORDS:
                self.clear()
            self[word] = ids
        return ids

    def of(self, text: str) -> tuple[int, ...]:
        return tuple(self._backend.encode(text, add_special_tokens=False).ids)

    def __reduce__(self) -> tuple:
        return _Ids, (self._backend,)  # another process finds out for itself


def _cut_of(backend: tokenizers.Tokenizer) -> re.Pattern[str] | None:
    """What finds the words of a text in ALPHABET, None where the tokenizer isn't known to encode them one by one."""
    state = json.loads(backend.to_str())
    model, normalizer = state["model"], state["normalizer"]
    plain = (
        model["type"] == "BPE"
        and not model["dropout"]
        and normalizer
        in (None, {"type": "Sequence", "normalizers": []}, {"type": "NFC"})  # NFC leaves ALPHABET as it is
        and state["truncation"] is state["padding"] is None
        and not any(ALPHABET.fullmatch(token["content"]) for token in state["added_tokens"] if not token["special"])
    )
    expression = _CUTS.get(_parts(state["pre_tokenizer"])) if plain else None
    return None if expression is None else re.compile(expression)


def _parts(pre_tokenizer: dict | None) -> tuple:
    """What a sequence of pre-tokenizers does, in short; of one that does anything else, nothing that is in _CUTS."""
    parts: list[tuple] = []
    for part in (pre_tokenizer or {}).get("pretokenizers", ()):
        match part:
            case {"type": "Digits", "individual_digits": bool(each)}:
                parts.append(("Digits", each))
            case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": bool(own)}:
                parts.append(("ByteLevel", own))
            case {"type": "Split", "pattern": {"Regex": str(regex)}, "behavior": "Isolated", "invert": False}:
                parts.append(("Split", _LETTERS if _is_latin(regex) else regex))
            case _:
                parts.append(("other",))
    return tuple(parts)


def _is_latin(regex: str) -> bool:
    """Whether an expression finds runs of letters, with a space before them, that in ALPHABET are the Latin ones."""
    found = re.fullmatch(r"\\s\?(\[[^\[\]^\\]+\])\+", regex)
    if found is None:
        return False
    every = "".join(c for c in map(chr, range(1 << 16)) if ALPHABET.fullmatch(c))
    return re.findall(found[1], every) == re.findall(f"[{_LATIN}]", every)
