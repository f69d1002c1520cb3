"""The words of a program: comments without results, and names of variables."""

import dataclasses
import itertools
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence

from dsmath.data.from_annotations import arithmetic
from dsmath.data.from_annotations.arithmetic import Number, close, literal

_NUMBER = re.compile(rf"(?<![\w.]){arithmetic.DIGITS}(?!\w|\.\d)")
_WORDS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_VALUES = {word: float(value) for value, word in enumerate(_WORDS, start=2)}
_FIGURE = re.compile(
    rf"(?<![\w.])[$€£]?(?P<number>{arithmetic.DIGITS})(?!\w|\.\d)[%$€£]?|\b(?P<word>{'|'.join(_WORDS)})\b",
    re.IGNORECASE,
)
_UNIVERSAL = {1, 2, 7, 10, 12, 24, 30, 52, 60, 100, 365, 1000}  # numbers that need not come from anywhere
_CURRENCY = re.compile(r"(?<![\w.])[$€£](?![\w.])")  # of a number that was left out
_LOOSE = " .,:;=*/+$€£(-"  # what a comment doesn't end in, nor in these words
_LOOSE_WORDS = {"is", "are", "was", "were", "of", "for", "because", "since", "to", "a", "an", "the", "by", "or", "and"}
_LOOSE_WORDS |= {"with", "so", "So", "thus", "Thus", "equal", "equals"}
_CLAUSE_END = re.compile(r"[.,;:!?()\d]")
_NAME_WORDS = 3  # at most, in a variable's name
_SKIPPED = {"a", "an", "the", "of", "for", "from", "to", "in", "on", "at", "by", "per", "as", "this", "it", "he", "she"}
_STOPPERS = {"and", "or", "so", "because", "since", "which", "that", "while", "if", "when", "than", "then"}
_STOPPERS |= {"is", "are", "was", "were", "s"}
_RESERVED = {*keyword.kwlist, "print", "round", "math", "symbols", "solve", "Eq"}


@dataclasses.dataclass(frozen=True)
class Given:
    """The numbers and number words of a question."""

    numbers: frozenset[float]
    words: frozenset[str]

    @classmethod
    def of(cls, question: str) -> "Given":
        return cls(frozenset(_numbers(question)), frozenset(re.findall(r"[a-z]+", question.lower())))

    def explains(self, value: float) -> bool:
        """Whether a number needs no step that computes it."""
        return value in self.numbers or value in _UNIVERSAL


def comment(
    text: str,
    code: Iterable[str],
    own: Sequence[Number],
    given: Given,
    earlier: Mapping[str, float],
    later: Sequence[float],
) -> str:
    """A sentence without the results that its code and later code compute, and with variables for `earlier` ones.

    A number of the question stays where the code takes it as it is, even if a result happens to be the same.
    """
    taken = {number for line in code for number in _numbers(line)} & given.numbers

    def figure(match: re.Match[str]) -> str:
        if word := match["word"]:
            known = {word.lower(), str(int(_VALUES[word.lower()]))} & given.words or _VALUES[
                word.lower()
            ] in given.numbers
            return match[0] if known or not any(close(_VALUES[word.lower()], n.value) for n in own) else ""
        value = arithmetic.number(match["number"])
        around = match.string[max(0, match.start() - 2) : match.start()].rstrip()[-1:], match.string[match.end() :][:2]
        if "/" not in (around[0], around[1].lstrip()[:1]) and any(close(value, n.value) for n in own):
            return match[0] if value in taken else ""
        if given.explains(value):
            return match[0]
        if same := [name for name, result in earlier.items() if close(result, value)]:
            return match[0].replace(match["number"], same[-1])
        return "" if any(close(value, result) for result in later) else match[0]

    for number in own:
        if number.bottom is not None:
            whole = "" if number.whole is None else rf"{literal(number.whole)}\s(?:and\s)?"
            fraction = rf"{whole}{literal(number.top)}\s?/\s?{literal(number.bottom)}"
            text = re.sub(rf"(?<![\d.]){fraction}(?!\d)", "", text)
    text = " ".join(_CURRENCY.sub("", _FIGURE.sub(figure, text)).split())
    return re.sub(r" ([.,;:!?])", r"\1", _trimmed(text))


def name(lead: str, tail: str) -> str:
    """A variable's name: the words after a result, or else those before its expression."""
    after, before = _CLAUSE_END.split(tail, maxsplit=1)[0], _CLAUSE_END.split(lead.rstrip(" :"))[-1]
    words = _words(after)[:_NAME_WORDS] or _words(before, until_stopper=False)[-_NAME_WORDS:]
    joined = "_".join(words) or "step"
    return f"{joined}_1" if joined in _RESERVED else joined


def _numbers(text: str) -> Iterable[float]:
    return map(arithmetic.number, _NUMBER.findall(text))


def _words(text: str, *, until_stopper: bool = True) -> list[str]:
    words = re.findall(r"[a-z]+", text.lower().replace("'s", "").replace("’s", ""))
    if until_stopper:
        words = list(itertools.takewhile(lambda word: word not in _STOPPERS, words))
    return [word for word in words if word not in _SKIPPED | _STOPPERS]


def _trimmed(text: str) -> str:
    """A comment without the loose words and signs that it ends in."""
    end = len(text)
    while True:
        while end and text[end - 1] in _LOOSE:
            end -= 1
        start = end
        while start and (text[start - 1].isalnum() or text[start - 1] == "_"):
            start -= 1
        if text[start:end] not in _LOOSE_WORDS:
            return text[:end]
        end = start
