r"""Tokens of an answer in LaTeX, or in the notation of Python and SymPy.

Kinds: `number`, `symbol` (a letter, a Greek letter), `function`, `command` (what the parser has a rule for),
`word` (text), and `mark` (operators and brackets; their text is the same for `\le` and `<=`).
"""

import dataclasses
import re
from collections.abc import Iterator

from dsmath.answers import vocabulary
from dsmath.answers.nodes import ParseError

LONGEST = 10_000  # characters
_DEEPEST_TEXT = 5  # \text within \text

FUNCTIONS = vocabulary.names(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log lg exp max min gcd lcm floor ceiling abs"
)
_PYTHON = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "Abs": "abs",
    "ceil": "ceiling",
    "Max": "max",
    "Min": "min",
}
_CONSTANTS = {"pi": "pi", "oo": "infty", "inf": "infty", "infinity": "infty", "Infinity": "infty"}
_GREEK = vocabulary.names(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell"
)
_IGNORED = vocabulary.names(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle textstyle limits "
    "quad qquad rm bf it angle measuredangle triangle mathbf mathit mathsf mathcal boldsymbol bm vec hat "
    "mathstrut underline"
)
_TEXT = vocabulary.names("text mbox hbox textbf textit textrm textnormal mathrm operatorname textsf mathop")
_MARKS = {
    "times": "*",
    "cdot": "*",
    "ast": "*",
    "div": "/",
    "pm": "pm",
    "mp": "mp",
    "le": "<=",
    "leq": "<=",
    "leqslant": "<=",
    "lt": "<",
    "ge": ">=",
    "geq": ">=",
    "geqslant": ">=",
    "gt": ">",
    "ne": "!=",
    "neq": "!=",
    "approx": "~",
    "in": "in",
    "cup": "cup",
    "cap": "cap",
    "setminus": "setminus",
    "backslash": "setminus",
    "lbrace": "\\{",
    "rbrace": "\\}",
    "langle": "<(",
    "rangle": ")>",
    "lvert": "|",
    "rvert": "|",
    "vert": "|",
    "mid": "|",
    "lfloor": "lfloor",
    "rfloor": "rfloor",
    "lceil": "lceil",
    "rceil": "rceil",
    "colon": ":",
    "circ": "circ",
    "degree": "circ",
    "to": "to",
    "rightarrow": "to",
}
_COMMANDS = vocabulary.names("frac sqrt binom begin end overline mathbb emptyset varnothing yen euro pounds phantom")
_SAME = {"dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom"}
_ESCAPED = {"{": "\\{", "}": "\\}", "%": "%", "$": "$", "&": "&", "\\": "\\\\", "|": "|"}  # others are spaces

_TOKEN = re.compile(
    r"""(?P<space>\s+|~)
    |\\(?P<command>[a-zA-Z]+)
    |\\(?P<escaped>.)
    |(?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+(?![\w.]))?\.?)
    |(?P<letters>[a-zA-Z]+)
    |(?P<other>[^\x00-\x7f]+)
    |(?P<stop>\.)
    |(?P<mark>\*\*|<=|>=|!=|==|[-+*/^_=<>(){}\[\]|,;:!%&$'])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    spaced: bool = False  # white space stands before it


END = Token("end", "")  # what stands behind the last one


def tokenise(text: str) -> list[Token]:
    """The tokens of a text. Raises ParseError for characters and commands that no answer has."""
    if len(text) > LONGEST:
        raise ParseError(f"{len(text)} characters; expected at most {LONGEST}")
    return list(_tokens(text, upright=0))


def _tokens(text: str, *, upright: int) -> Iterator[Token]:
    """Tokens; within `upright` levels of text commands, letters make words."""
    position, spaced = 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or (match.lastgroup == "stop" and not upright):
            raise ParseError(f"unknown character {text[position]!r}")
        position = match.end()
        kind, value = match.lastgroup, match[0]
        if kind in ("space", "stop"):
            spaced = True
            continue
        if kind == "command":
            value = _SAME.get(match["command"], match["command"])
            if value in _TEXT:
                content, position = _argument(text, position)
                if upright >= _DEEPEST_TEXT:
                    raise ParseError("text nested too deep")
                yield from _tokens(content, upright=upright + 1)
            elif value not in _IGNORED:
                yield _command(value, spaced)
        elif kind == "escaped":
            if match["escaped"] in _ESCAPED:
                yield Token("mark", _ESCAPED[match["escaped"]], spaced)
        elif kind == "number":
            yield from _number(value, spaced)
        elif kind == "letters":
            yield from _letters(value, spaced, upright)
        elif kind == "other":
            yield Token("word", value, spaced)
        elif value != "$":
            yield Token("mark", {"**": "^", "==": "="}.get(value, value), spaced)
        spaced = kind == "escaped"


def _argument(text: str, start: int) -> tuple[str, int]:
    """The contents of the group at `start`, and where it ends."""
    while text.startswith(" ", start):
        start += 1
    if not text.startswith("{", start):
        return text[start : start + 1], start + 1
    depth = 0
    for brace in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return text[start + 1 : brace.start()], brace.end()
    return text[start + 1 :], len(text)


def _command(name: str, spaced: bool) -> Token:
    if name in _MARKS:
        return Token("mark", _MARKS[name], spaced)
    if name in FUNCTIONS:
        return Token("function", name, spaced)
    if name in _GREEK:
        return Token("symbol", name, spaced)
    if name in ("pi", "infty"):
        return Token("symbol", name, spaced)
    if name in _COMMANDS:
        return Token("command", name, spaced)
    raise ParseError(f"unknown command \\{name}")


def _number(text: str, spaced: bool) -> Iterator[Token]:
    if len(text) > 1000:
        raise ParseError(f"a number of {len(text)} characters")
    yield Token("number", text, spaced)


def _letters(text: str, spaced: bool, upright: int) -> Iterator[Token]:
    """A name, a word, or a product of letters."""
    name = _PYTHON.get(text, text)
    if name in FUNCTIONS:
        yield Token("function", name, spaced)
    elif name == "sqrt":
        yield Token("command", "sqrt", spaced)
    elif name in _CONSTANTS:
        yield Token("symbol", _CONSTANTS[name], spaced)
    elif len(text) == 1 and (not upright or text in "ie"):
        yield Token("symbol", {"I": "i", "E": "E"}.get(text, text) if not upright else text, spaced)
    elif (
        upright
        or len(text) >= 4
        or text.lower() in ("and", "or", "pct")
        or vocabulary.unit(text)
        or vocabulary.number(text) is not None
    ):
        yield Token("word", text, spaced)
    else:
        for i, letter in enumerate(text):
            yield Token("symbol", letter, spaced and i == 0)
