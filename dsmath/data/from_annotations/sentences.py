"""What a sentence calculates: equations in symbols or words, with or without an annotation, units left out.

"He has 23 total meters - 13 meters = <<23-13=10>>10 meters" shows the sides `23 - 13` and `10`, and is annotated;
"because 10 times 25 equals 250" shows `10 * 25` and `250`.
"""

import dataclasses
import re

from dsmath.data.from_annotations import arithmetic
from dsmath.data.from_annotations.arithmetic import DIGITS, Expression, Number, Unreadable

_TOKEN = re.compile(
    rf"""
    <<(?P<annotation>[^<>]*)>>(?:[$]?-?{DIGITS},?)?%?
  | (?P<whole>\d{{1,9}})(?:\ and\ |\ )(?P<top>[1-9]\d?)/(?P<bottom>[1-9]\d{{0,2}})(?!\d|/\s?\d|[.,]\d)  # 1 1/2
  | (?P<over>\d{{1,9}})\ ?/(?P<under>[1-9]\d{{0,8}})(?!\d|/\s?\d|[.,]\d|\s?%)  # 1/2, 7 /12
  | (?P<ordinal>\d{{1,9}}(?:st|nd|rd|th)\b)
  | (?P<number>\d{{1,3}}(?:\ \d{{3}}){{1,7}}(?!\d)|{DIGITS})(?:\.{{3}}|…)?(?P<percent>\s?%)?
  | (?P<times>\b[xX]\b(?=\s?[$(]?[\d.])|(?<=\d)[xX](?=[\d.]))
  | (?P<glue>(?:-|/\s?)(?=[^\W\d_]{{2}}))  # the 4-room flat, 5 miles/hour
  | (?P<verb>\b(?:plus|minus|times|(?:divided|multiplied)\ (?:by|into|among|between))\b(?=\s[$(]{{0,2}}[\d.]))
  | (?P<ratio>(?<=\d)\ :(?=\ [$€£]?\d))  # 36 : 4 = 9
  | (?P<sign>//|[-+*/÷×])
  | (?P<equals>=|\bequals?\b)
  | (?P<opening>[(\[{{])
  | (?P<closing>[)\]}}])
  | (?P<word>[^\W\d_][\w'’]*)
  | (?P<nothing>[\s$€£%]+|\.(?=\s*=))
  | (?P<cut>.)
    """,
    re.VERBOSE,
)
_SIGNS = {"÷": "/", ":": "/", "×": "*", "x": "*", "plus": "+", "minus": "-", "times": "*"}
_SIGNS |= {"divided": "/", "multiplied": "*"}
_AFTER_EQUALS = {"to", "about", "approximately", "around", "roughly", "only"}  # equal to, = about
_MOST_WORDS = 12  # of a unit
_MOST_TOKENS = 100


@dataclasses.dataclass(frozen=True)
class Shown:
    """A calculation of a sentence: what stands between its equals signs, where each side starts, where it all ends.

    The result that an annotation states is the last side of an annotated one.
    """

    sides: tuple[Expression, ...]
    starts: tuple[int, ...]
    end: int
    annotation: str | None = None

    @property
    def letters(self) -> set[str]:
        return {letter for side in self.sides for letter in arithmetic.letters(side)}


def calculations(sentence: str, unknowns: frozenset[str] = frozenset()) -> list[Shown]:
    """The calculations of a sentence in their order, `unknowns` being the letters that stand for numbers.

    An expression that equals nothing is one, too, if it holds a sign or an unknown.
    """
    reader = _Reader(unknowns)
    for match in _TOKEN.finditer(sentence):
        reader.take(match)
    reader.stop()
    return reader.shown


class _Reader:
    """Reads tokens from left to right, each once: operands and signs make a side, equals signs part the sides.

    Whatever fits in no longer ends the calculation, and the next one starts behind it or with it.
    """

    def __init__(self, unknowns: frozenset[str]):
        self.shown: list[Shown] = []
        self._unknowns = unknowns
        self._before = 0  # where currency signs in front of a calculation start
        self._reset()

    def _reset(self) -> None:
        self._sides: list[Expression] = []
        self._side: list[str | Number] = []
        self._ends: list[int] = []  # of the side's tokens
        self._starts: list[int] = []  # of the sides
        self._end = self._end_of_sides = -1
        self._words = 0  # of the unit that is being read

    def stop(self) -> None:
        """End the calculation, if one is being read."""
        while self._side and not self._complete():  # 25 + 1 = 26 times
            self._side.pop()
            self._ends.pop()
        sides, end = self._sides, self._end_of_sides
        if self._side:
            sides, end = [*sides, _balanced(self._side)], self._ends[-1]
        if len(sides) > 1 or (sides and not arithmetic.is_number(sides[0])):
            self.shown.append(Shown(tuple(sides), tuple(self._starts[: len(sides)]), end))
        self._reset()

    def take(self, match: re.Match[str]) -> None:
        kind, text = match.lastgroup, match[0]
        if kind in ("whole", "top", "bottom", "over", "under", "number", "percent"):
            self._operand(_number(match), match)
        elif kind == "annotation":
            self._annotation(match)
        elif kind in ("sign", "times", "verb", "ratio"):
            sign = text.split()[0].lower()
            self._sign(_SIGNS.get(sign, sign), match)
        elif kind == "equals":
            self._equals()
        elif kind == "opening":
            self._opening(match)
        elif kind == "closing":
            self._closing(match)
        elif kind == "word" and text in self._unknowns and self._takes_unknown(match):
            self._operand(text, match)
        elif kind in ("word", "ordinal"):
            self._word(text)
        elif kind == "cut":
            self.stop()
        if kind != "nothing":
            self._before = match.end()

    def _from(self, match: re.Match[str]) -> int:
        """Where a calculation starts that starts with a token: at the currency sign in front, if there is one."""
        gap = match.string[self._before : match.start()]
        return match.start() - len(gap.lstrip())

    def _complete(self) -> bool:
        """Whether the side that is being read could end here."""
        return bool(self._side) and (
            isinstance(self._side[-1], Number) or self._side[-1] == ")" or self._side[-1].isalpha()
        )

    def _touches(self, match: re.Match[str]) -> bool:
        return self._end == match.start()

    def _add(self, token: str | Number, match: re.Match[str]) -> None:
        if not self._side:
            self._starts.append(self._from(match))
        self._push(token, match.end())
        self._words = 0
        if len(self._side) > _MOST_TOKENS:
            self._reset()

    def _push(self, token: str | Number, end: int) -> None:
        self._side.append(token)
        self._ends.append(end)
        self._end = end

    def _operand(self, token: str | Number, match: re.Match[str]) -> None:
        if self._complete():
            multiplied = self._touches(match) and (self._side[-1] == ")" or isinstance(token, str))
            if multiplied:
                self._push("*", self._end)
            else:
                self.stop()
        self._add(token, match)

    def _takes_unknown(self, match: re.Match[str]) -> bool:
        """Whether a letter is an unknown here: an operand is missing, or it starts the next calculation."""
        follows = match.string[match.end() : match.end() + 2].lstrip()[:1]
        return not self._complete() or self._touches(match) or (follows != "" and follows in "=+-*/")

    def _sign(self, sign: str, match: re.Match[str]) -> None:
        after = match.string[match.end() : match.end() + 1]
        if sign == "/" and after.isalpha() and after not in self._unknowns:
            return  # 4 km/h
        if self._complete() or (sign == "-" and (not self._side or self._side[-1] == "(")):
            self._add(sign, match)
        else:
            self.stop()

    def _opening(self, match: re.Match[str]) -> None:
        if self._complete():
            last = self._side[-1]
            before_unknown = match.string[match.end() : match.end() + 1] in self._unknowns and not self._words
            if self._touches(match) or (before_unknown and last != ")"):
                self._push("*", self._end)
            else:
                self.stop()
        self._add("(", match)

    def _closing(self, match: re.Match[str]) -> None:
        if self._complete() and self._side.count("(") > self._side.count(")"):
            self._add(")", match)
        else:
            self.stop()

    def _equals(self) -> None:
        if not self._complete():
            self.stop()
            return
        self._sides.append(_balanced(self._side))
        self._side, self._ends, self._end_of_sides, self._words = [], [], self._end, 0

    def _word(self, word: str) -> None:
        if self._complete():
            self._words += 1
            if self._words > _MOST_WORDS:
                self.stop()
        elif self._side or not self._sides or word.lower() not in _AFTER_EQUALS:
            self.stop()

    def _annotation(self, match: re.Match[str]) -> None:
        """An annotation ends what is being read, and its result may start the next calculation."""
        if not (self._sides and self._side in ([], ["-"])):
            self.stop()
        sides, starts = self._sides, [*self._starts[: len(self._sides)], self._from(match)]
        try:
            stated = arithmetic.number(match["annotation"].rpartition("=")[2].replace("%", ""))
        except Unreadable:
            result = None
        else:
            result = Number(stated, percent=match[0].endswith("%"))
            sides = [*sides, (result,)]
        self.shown.append(Shown(tuple(sides), tuple(starts), match.end(), match["annotation"]))
        self._reset()
        if result:
            self._starts.append(match.end())
            self._push(result, match.end())


def _number(match: re.Match[str]) -> Number:
    if match["whole"]:
        return Number(float(match["top"]), float(match["bottom"]), float(match["whole"]))
    if match["over"]:
        return Number(float(match["over"]), float(match["under"]))
    return Number(arithmetic.number(match["number"].replace(" ", "")), percent=bool(match["percent"]))


def _balanced(side: list[str | Number]) -> Expression:
    """A side without the brackets that it leaves open, as in (so 2 * 3 = 6)."""
    left_open: list[int] = []
    for i, token in enumerate(side):
        if token == "(":
            left_open.append(i)
        elif token == ")":
            left_open.pop()
    return tuple(token for i, token in enumerate(side) if i not in left_open)
