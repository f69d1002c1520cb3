"""Are two answers the same?

    rule = same(prediction, gold)                          the kind of answer that they are, "" if they differ
    rule = verdict(question, prediction, gold, holds)      the same, with what the question asks for

`holds` decides about expressions that aren't fractions (dsmath/answers/numeric.py).
"""

import functools
import re
from collections.abc import Callable
from fractions import Fraction
from typing import TypeGuard

from dsmath.answers import characters, exact, labels, numeric, parser, sets, tokens, vocabulary
from dsmath.answers.nodes import (
    Apply,
    Based,
    Matrix,
    Node,
    Number,
    ParseError,
    Quantity,
    Ratio,
    Relation,
    Sequence,
    Symbol,
    Text,
)
from dsmath.answers.question import readings as readings_of
from dsmath.answers.question import wants_one_of_several, wants_several
from dsmath.error import UserError
from dsmath.records import Answer

Holds = Callable[[str, Node, Node], bool]  # relation, a, b

_MOST_ITEMS = 100  # of a list that is compared
_TYPOGRAPHY = re.compile(r"\\left(?![a-z])|\\right(?![a-z])|\\!|\$")
_SPACES = re.compile(r"(?:\\[,;: ]|[\s~])+")
_CHOICE = re.compile(r"(?:\\(?:text|textbf|mathrm|mathbf)\{)?\s*\(([A-Z])\)(?!\s*[-+*/^=(])")
_PERCENT = re.compile(
    r"(?:what|which|how many|nearest|as an?|in|by)\s+(?:\S+\s+){0,2}per ?cent|percentage"
    r"|百分之几|百分之多少|百分[比数率]|几%",
    re.IGNORECASE,
)
_BASE = re.compile(r"\bbase|binary|octal|hexadecimal|进制", re.IGNORECASE)


# Predictions, gold answers, and whether they are the same.
_KNOWN = (
    ("12元", "12", True),
    ("500", "5", False),
    (r"\frac{1}{3}", "0.3333", True),
    ("5.0004", "5", False),
    (r"2\cdot3", "6", True),
    (r"2+\sqrt{3}", r"\sqrt{7+4\sqrt{3}}", True),
    (r"\sqrt{2}", r"\sqrt{3}", False),
    ("[1,2]", "(1,2)", False),
    (r"\{1,2\}", r"\{2,1\}", True),
    (r"x\le3", r"(-\infty,3]", True),
    ("2y=4x+2", "y=2x+1", True),
    (r"1\frac{1}{2}", "1.5", True),
    ("50%", "0.5", True),
    ("(x+1)^2", "x^2+2x+1", True),
    ("9^{9^{9^9}}", "5", False),
)


@functools.cache
def check() -> None:
    """Raise UserError unless known pairs get their verdicts."""
    for prediction, gold, expected in _KNOWN:
        if bool(verdict("", prediction, gold, numeric.holds)) != expected:
            raise UserError(
                f"the grader strict finds {prediction} and {gold} {'different' if expected else 'equal'}: reinstall "
                "with `pip install -e .`"
            )


def same(prediction: Answer, gold: Answer, question: str = "") -> str:
    """`verdict`, here and now: bounded in time and memory by the sizes that the parser takes."""
    return verdict(question, prediction, gold, numeric.holds)


def verdict(question: str, prediction: Answer, gold: Answer, holds: Holds) -> str:
    """The kind of gold answer that the prediction equals, "same" if it is written the same, "" if it is different."""
    if isinstance(gold, list) and wants_one_of_several(question):
        return next((rule for g in gold if (rule := verdict(question, prediction, g, holds))), "")
    if prediction == gold:
        return "same" if gold else ""
    comparison = Comparison(question, holds)
    g = read(gold, question)
    if isinstance(prediction, list) and (rule := comparison.rule(prediction[-1], gold, g)):
        return rule
    return comparison.rule(prediction, gold, g)


def read(answer: Answer, question: str) -> Node:
    """What an answer holds; text if it isn't mathematics. Several boxes hold several answers."""
    if isinstance(answer, list):
        items = [read(box, question) for box in answer]
        flat = [part for item in items for part in (item.items if _is_list(item) else (item,))]
        return Sequence("", tuple(flat), "")
    return _read(readings_of(answer)[-1], wants_several(question))


@functools.lru_cache(maxsize=128)
def _read(text: str, several: bool) -> Node:
    if len(text) > tokens.LONGEST:
        return Text(text)
    plain = characters.plain(text)
    if (number := _plain_number(plain)) is not None:
        return number
    try:
        return parser.parse(plain if several else characters.without_thousands(plain))
    except ParseError:
        return Text(text)


def _plain_number(text: str) -> Number | None:
    """The shortcut for what most answers are."""
    digits = text[1:] if text.startswith("-") else text
    if digits.isascii() and digits.isdecimal() and len(digits) < 100:
        return Number(Fraction(int(text)))
    return None


class Comparison:
    """Equality of answers to one question."""

    def __init__(self, question: str, holds: Holds):
        self._question = question
        self._holds = holds

    def rule(self, prediction: Answer, gold: Answer, g: Node) -> str:
        """The kind of a gold answer that the prediction equals, "same" if it is written the same."""
        if isinstance(prediction, str):
            readings = readings_of(prediction)
            return next((rule for reading in readings if (rule := self._rule(reading, gold, g))), "")
        return type(g).__name__.lower() if self.equal(read(prediction, self._question), g) else ""

    def _rule(self, prediction: str, gold: Answer, g: Node) -> str:
        if not prediction:
            return ""
        if isinstance(gold, str) and _key(prediction) == _key(gold):
            return "same"
        choice = _CHOICE.match(prediction)
        if choice and labels.letters(g) == choice[1]:
            return "text"
        return type(g).__name__.lower() if self.equal(read(prediction, self._question), g) else ""

    def equal(self, p: Node, g: Node) -> bool:
        """Whether a prediction and a gold answer, or parts of them, are the same."""
        if p == g:
            return True
        if isinstance(p, Number) and isinstance(g, Number):
            return exact.agree(p, g, p.value, g.value)
        p, g = labels.strip(p, g, self._values_equal)
        p = labels.with_unit(p, g)
        if isinstance(p, Quantity) and _size(p.unit):
            g = labels.with_unit(g, p)
        if labels.has_signs(p) or labels.has_signs(g):
            return self._several(labels.both_signs(p), labels.both_signs(g))
        if (p_pieces := self._pieces(p)) is not None and (g_pieces := self._pieces(g)) is not None:
            return _one_to_one(p_pieces, g_pieces, self._pieces_equal)
        if isinstance(p, Relation) or isinstance(g, Relation):
            return isinstance(p, Relation) and isinstance(g, Relation) and self._relations_equal(p, g)
        if _is_collection(p) or _is_collection(g):
            return self._several(*(self._solutions(labels.both_signs(node)) for node in (p, g)))
        for kind, rule in (
            (Sequence, self._sequences_equal),
            (Matrix, self._matrices_equal),
            (Ratio, self._ratios_equal),
            (Quantity, self._quantities_equal),
            (Based, self._based_equal),
            (Text, self._texts_equal),
        ):
            if isinstance(p, kind) or isinstance(g, kind):
                return rule(p, g)
        return self._values_equal(p, g)

    def _values_equal(self, p: Node, g: Node) -> bool:
        """Numbers and expressions."""
        if sets.is_infinite(p) or sets.is_infinite(g):
            return p == g
        try:
            x, y = exact.value(p), exact.value(g)
        except exact.TooLargeError:
            return False
        if x is not None and y is not None:
            return exact.agree(p, g, x, y)
        if isinstance(p, Symbol) and isinstance(g, (Symbol, Number)):
            return p == g
        return self._holds("same", p, g)

    def _several(self, p_items: tuple[Node, ...], g_items: tuple[Node, ...]) -> bool:
        """Answers in any order, each once."""
        return _one_to_one(p_items, g_items, self.equal)

    def _solutions(self, items: tuple[Node, ...]) -> tuple[Node, ...]:
        """A list of tuples is a set of solutions: one that is repeated counts once."""
        if not all(isinstance(item, Sequence) and item.left == "(" for item in items) or len(items) > _MOST_ITEMS:
            return items
        kept: list[Node] = []
        for item in items:
            if not any(self.equal(item, other) for other in kept):
                kept.append(item)
        return tuple(kept)

    def _pieces(self, node: Node) -> list[sets.Piece] | None:
        """The intervals of a set; None for a finite set, too, which is compared as what it is."""
        finite = isinstance(node, Sequence) and node.left == "\\{"
        return None if finite else sets.pieces(node, self._less)

    def _less(self, a: Node, b: Node) -> bool:
        try:
            x, y = exact.value(a), exact.value(b)
        except exact.TooLargeError:
            return False
        return self._holds("less", a, b) if x is None or y is None else x < y

    def _pieces_equal(self, p: sets.Piece, g: sets.Piece) -> bool:
        closed = (p.low_closed, p.high_closed) == (g.low_closed, g.high_closed)
        return closed and self.equal(p.low, g.low) and self.equal(p.high, g.high)

    def _relations_equal(self, p: Relation, g: Relation) -> bool:
        """Equations up to a factor, inequalities up to a positive one; chains side by side."""
        p, g = labels.ascending(p), labels.ascending(g)
        if p.operators != g.operators:
            return False
        if all(self._operands_equal(a, b) for a, b in zip(p.sides, g.sides, strict=True)):
            return True
        if labels.define_the_same(p, g):
            return self.equal(p.sides[1], g.sides[1])
        if len(p.sides) != 2 or p.operators[0] not in ("=", "<", "<="):
            return False
        if any(isinstance(side, (Sequence, Matrix, Text, Quantity)) for side in (*p.sides, *g.sides)):
            return False
        a, b = (Apply("+", (sides[0], Apply("neg", (sides[1],)))) for sides in (p.sides, g.sides))
        return self._holds("multiple" if p.operators[0] == "=" else "positive multiple", a, b)

    def _operands_equal(self, p: Node, g: Node) -> bool:
        return not (isinstance(p, Relation) or isinstance(g, Relation)) and self.equal(p, g)

    def _sequences_equal(self, p: Node, g: Node) -> bool:
        """Tuples and intervals: brackets count. A column of a matrix is the tuple of its elements."""
        p, g = (_column(node) or node for node in (p, g))
        if not (isinstance(p, Sequence) and isinstance(g, Sequence)):
            return False
        return (p.left, p.right) == (g.left, g.right) and self._all_equal(p.items, g.items)

    def _matrices_equal(self, p: Node, g: Node) -> bool:
        if not (isinstance(p, Matrix) and isinstance(g, Matrix)):
            return False
        return len(p.rows) == len(g.rows) and all(map(self._all_equal, p.rows, g.rows))

    def _all_equal(self, p: tuple[Node, ...], g: tuple[Node, ...]) -> bool:
        return len(p) == len(g) and all(map(self.equal, p, g))

    def _ratios_equal(self, p: Node, g: Node) -> bool:
        """Ratios up to a factor; of two terms, their quotient."""
        if isinstance(p, Ratio) and isinstance(g, Ratio):
            return len(p.terms) == len(g.terms) and all(
                self.equal(Apply("*", (a, g.terms[0])), Apply("*", (b, p.terms[0])))
                for a, b in zip(p.terms, g.terms, strict=True)
            )
        ratio, other = (p, g) if isinstance(p, Ratio) else (g, p)
        if not (isinstance(ratio, Ratio) and isinstance(other, Apply) and other.function == "/"):
            return False
        return len(ratio.terms) == 2 and self.equal(Apply("/", ratio.terms), other)

    def _quantities_equal(self, p: Node, g: Node) -> bool:
        """Units may be left out, and are converted; those of different dimensions differ. Nouns don't count."""
        (x, p_unit), (y, g_unit) = (_split(node) for node in (p, g))
        if p_unit == g_unit:
            return self.equal(x, y)
        if "%" in (p_unit, g_unit):
            return self._percents_equal(x, p_unit, y, g_unit)
        if self.equal(x, y) and not (_size(p_unit) and _size(g_unit)):
            return True
        if "degree" in (p_unit, g_unit) and "" in (p_unit, g_unit):
            p_angle, g_angle = (Apply("degree", (v,)) if u == "degree" else v for v, u in ((x, p_unit), (y, g_unit)))
            return self.equal(p_angle, g_angle)
        p_size, g_size = _size(p_unit), _size(g_unit)
        if p_size is None or g_size is None or p_size[0] != g_size[0]:
            return False
        return self.equal(Apply("*", (x, Number(p_size[1]))), Apply("*", (y, Number(g_size[1]))))

    def _percents_equal(self, x: Node, p_unit: str, y: Node, g_unit: str) -> bool:
        """n% is n/100. The sign may be left out where the gold has it, or added where the question says percent."""
        if p_unit and g_unit:
            return False
        if g_unit == "%":
            return self.equal(x, y) or self.equal(x, Apply("percent", (y,)))
        if self.equal(Apply("percent", (x,)), y):
            return True
        return _PERCENT.search(self._question) is not None and self.equal(x, y)

    def _based_equal(self, p: Node, g: Node) -> bool:
        """The same digits in the same base. The base may be left out where the question says it."""
        if isinstance(p, Based) and isinstance(g, Based):
            return (p.base, p.value) == (g.base, g.value)
        based, other = (p, g) if isinstance(p, Based) else (g, p)
        if not (isinstance(based, Based) and isinstance(other, Number)):
            return False
        asked = _BASE.search(self._question) is not None
        if asked and other.places is None and str(other.value) == based.digits.lstrip("0"):
            return True
        return isinstance(p, Based) and p.value == other.value

    def _texts_equal(self, p: Node, g: Node) -> bool:
        text = labels.letters(p)
        return not text.isdecimal() and text != "" and text == labels.letters(g)


def _one_to_one(p_items, g_items, same) -> bool:
    """Whether each element equals another element of the other side."""
    if len(p_items) != len(g_items) or len(p_items) > _MOST_ITEMS:
        return False
    left = list(g_items)
    for p in p_items:
        match = next((i for i, g in enumerate(left) if same(p, g)), None)
        if match is None:
            return False
        del left[match]
    return True


def _key(text: str) -> str:
    """The text without typography. Spaces between digits stay: 1 1/2 isn't 11/2."""
    text = _SPACES.sub(" ", _TYPOGRAPHY.sub("", text)).strip()
    text = re.sub(r"(?<!\d) | (?!\d)", "", text)
    return text.replace("dfrac", "frac").replace("tfrac", "frac").rstrip(".")


def _is_list(node: Node) -> TypeGuard[Sequence]:
    return isinstance(node, Sequence) and node.left == ""


def _is_collection(node: Node) -> TypeGuard[Sequence]:
    """Several answers, or a set: in any order."""
    return isinstance(node, Sequence) and node.left in ("", "\\{")


def _column(node: Node) -> Sequence | None:
    if isinstance(node, Matrix) and len(node.rows) > 1 and all(len(row) == 1 for row in node.rows):
        return Sequence("(", tuple(row[0] for row in node.rows), ")")
    if isinstance(node, Sequence) and node.left == "<(":
        return Sequence("(", node.items, ")")
    return None


def _split(node: Node) -> tuple[Node, str]:
    return (node.value, node.unit) if isinstance(node, Quantity) else (node, "")


def _size(unit: str) -> tuple[str, Fraction] | None:
    name, _, power = unit.partition("^")
    return vocabulary.unit(name, int(power) if power.isdecimal() else 1)
