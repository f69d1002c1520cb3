"""Which texts hold a part of a benchmark: the n-gram rule of DeepSeekMath, for English and Chinese.

A text that shares 10 consecutive words with a benchmark's is contaminated; where the benchmark's is shorter than that,
but has at least 3 words, a text that holds all of it is (arXiv 2402.03300, section 2.1). Words are compared as
`words` gives them, so that punctuation, case, spaces and full-width forms make no difference.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Iterable

LONG = 10  # words
SHORT = 3

_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|\d+(?:\.\d+)?|[^\W\d_{_CJK}]+")
_WITHIN = re.compile(r"(?<=\d),(?=\d{3}(?!\d))|(?<=[^\W\d_])['’](?=[^\W\d_])")  # 1,000 and don't are one word


def words(text: str) -> list[str]:
    """The words of a text, normalised: NFKC, lower case. A Chinese character is a word, and so is a number."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return _WORD.findall(_WITHIN.sub("", plain))


@dataclasses.dataclass(frozen=True)
class Match:
    """A part of a benchmark that was found."""

    problem: str  # its id
    rule: str  # "exact", or "10-gram" (or of another length)
    text: str  # the words that both hold


class Index:
    """The n-grams of benchmarks. Takes some 100 bytes per word."""

    def __init__(self, texts: Iterable[tuple[str, str]]):
        """`texts` are (id, text)."""
        self._by_length: dict[int, dict[int, str]] = {}
        self._whole: dict[str, str] = {}
        for id, text in texts:
            found = words(text)
            if len(found) >= SHORT:
                self._whole.setdefault(" ".join(found), id)
                n = min(len(found), LONG)
                grams = self._by_length.setdefault(n, {})
                for i in range(len(found) - n + 1):
                    grams.setdefault(hash(tuple(found[i : i + n])), id)

    def find(self, text: str) -> Match | None:
        """What of a benchmark a text holds, if anything."""
        found = words(text)
        if id := self._whole.get(" ".join(found)):
            return Match(id, "exact", " ".join(found))
        for n, grams in sorted(self._by_length.items(), reverse=True):
            for i in range(len(found) - n + 1):
                if id := grams.get(hash(tuple(found[i : i + n]))):
                    return Match(id, f"{n}-gram", " ".join(found[i : i + n]))
        return None
