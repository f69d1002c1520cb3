"""Which answer a response gives, as it is written."""

import collections
import dataclasses
import re
from collections.abc import Iterator

from dsmath.answers.question import wants_one_of_several, wants_several
from dsmath.records import Answer
from dsmath.score.reference.extract import last_output
from dsmath.suites import catalogue

_BOX = re.compile(r"(?:\\fbox|\\?boxed)(?![a-zA-Z])\s*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BARE = re.compile(r"(?:\\[$%]|[^\s$,，。{}]|,(?=\d{3}(?!\d)))+")
_PHRASE = re.compile(
    r"(?:\banswer\s*(?:is|are|was|:|=|：)|####|答案(?:应该|应)?(?:是|为|等于|:|：|=))\s*[:：]?", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"\n|。|；|[.?](?=\s|$)|!(?=\s+[A-Z]|\s*$)|[.](?=\$?\s*(?:I hope|$))")
_MATH = re.compile(r"\$\$?([^$]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]")
_FRACTION = r"\\[dtc]?frac\s*\{\s*-?\d+\s*\}\s*\{\s*-?\d+\s*\}"
_DECIMAL = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"(?<![\w.)}}\]^])[-−]?(?:\d+\s*{_FRACTION}|{_FRACTION}|(?:\d+\s+)?\d+/\d+(?![\d/])|{_DECIMAL})(?:\s*\\?%)?",
    re.ASCII,
)
_PERCENT = re.compile(r"%|\$?\s*\\%|\s*[％]")
_GAP = r"(?:\\?\$|\\[()\[\] ,;]|[^\S\n])*"
_BETWEEN = re.compile(
    rf"{_GAP}(?:[,，、;]|\\text\{{\s*and\s*\}}|and|和|与){_GAP}(?:and{_GAP})?"
)  # "or" says one thing twice
_LONGEST_SENTENCE = 1_000
_PROSE = re.compile(r"(?:[A-Za-z]{2,}\s+){2}")


def extract(suite: str, question: str, text: str) -> Answer:
    r"""The answer of a response or a gold solution.

    The last balanced `\boxed` or `\fbox`, else what follows the last "answer is", else the last output block, else the
    last number. A list holds several boxes: those of one enumeration, or all where the question wants several answers.
    """
    found = [box for box in _boxes(text) if box.content.strip()]
    if not found:
        return _phrase(text) or _last_line(last_output(text)) or _last_number(text)
    boxes = found if wants_several(question) else _last_enumeration(text, found)
    contents = list(dict.fromkeys(box.content for box in boxes))
    return contents if len(contents) > 1 else contents[-1]


def gold_answer(suite: str, question: str, gold_source: str) -> Answer:
    """The gold answer: of MATH extracted from the solution, of the other suites the string itself."""
    if suite not in catalogue.SOLUTIONS:
        return gold_source.strip()
    if wants_one_of_several(question) and len(boxes := list(dict.fromkeys(boxed(gold_source)))) > 1:
        return boxes
    return extract(suite, question, gold_source)


def boxed(text: str) -> Iterator[str]:
    r"""The contents of all boxes that are closed, with a percent sign that follows; see `answers.question.readings`.

    `\boxed 5` and `\boxed5` hold what stands up to the next space, dollar or comma.
    """
    return (box.content for box in _boxes(text))


@dataclasses.dataclass(frozen=True)
class _Box:
    content: str
    start: int  # in the text, of the command
    end: int  # behind the closing brace


def _boxes(text: str) -> Iterator[_Box]:
    closing = None
    for box in _BOX.finditer(text):
        closing = _matching_braces(text) if closing is None else closing
        start = box.end()
        if not text.startswith("{", start):
            if bare := _bare(text, start, closing):
                yield _Box(bare.rstrip("."), box.start(), start + len(bare))
        elif start in closing:
            end = closing[start]
            content = text[start + 1 : end]
            percent = rf"\boxed{{{content}}}\%" if _PERCENT.match(text, end + 1) else content
            yield _Box(percent, box.start(), end + 1)


def _last_enumeration(text: str, boxes: list[_Box]) -> list[_Box]:
    r"""The last box, with those before it that only commas and "and" keep apart: `\boxed{2}$ and $\boxed{3}`."""
    first = len(boxes) - 1
    while first and _BETWEEN.fullmatch(text, boxes[first - 1].end, boxes[first].start):
        first -= 1
    return boxes[first:]


def _bare(text: str, start: int, closing: dict[int, int]) -> str:
    """What stands from `start` up to a space, a dollar or a comma outside of braces."""
    position = start
    while position < len(text):
        if match := _BARE.match(text, position):
            position = match.end()
        elif position in closing:
            position = closing[position] + 1
        else:
            break
    return text[start:position]


def _matching_braces(text: str) -> dict[int, int]:
    """Where each brace that is closed is closed."""
    closing, opened = {}, []
    for brace in _BRACE.finditer(text):
        if brace[0] == "{":
            opened.append(brace.start())
        elif brace[0] == "}" and opened:
            closing[opened.pop()] = brace.start()
    return closing


def _phrase(text: str) -> str:
    """What follows the last "answer is", up to the end of its sentence."""
    last = _last(_PHRASE, text)
    if last is None:
        return ""
    rest = text[last.end() :].lstrip("* \t\r\n")
    end = _SENTENCE_END.search(rest)
    sentence = (rest[: end.start()] if end else rest)[:_LONGEST_SENTENCE].strip("* ")
    maths = [next(filter(None, groups)) for groups in _MATH.findall(sentence)]
    if maths and _PROSE.search(_MATH.sub(" ", sentence) + " "):
        return maths[-1].strip()
    if _PROSE.search(sentence) or "boxed" in sentence:
        return _last_number(sentence) or sentence
    return sentence


def _last_line(block: str) -> str:
    return block.rsplit("\n", 1)[-1].strip()


def _last_number(text: str) -> str:
    last = _last(_NUMBER, text)
    return last[0].strip() if last else ""


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return next(iter(collections.deque(pattern.finditer(text), maxlen=1)), None)
