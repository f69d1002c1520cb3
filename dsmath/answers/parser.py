"""A recursive descent parser from tokens to nodes.

answer   = item ("," | ";" | "and" | "or" ...)*          several answers
item     = [currency] relation
relation = side (("=" | "<" | "in" ...) side)*
side     = ratio [unit]
ratio    = union (":" union)*
union    = sum (("cup" | "cap" | "setminus") sum)*
sum      = product (("+" | "-" | "pm" | "mp") product)*
product  = factor (["*" | "/"] factor)*
factor   = ["-" | "+"] power
power    = postfix ["^" factor]
postfix  = atom ("!" | "%" | "^circ")*
"""

import re
from fractions import Fraction

from dsmath.answers import tokens, vocabulary
from dsmath.answers.atoms import ZERO, Atoms
from dsmath.answers.nodes import (
    Apply,
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
from dsmath.answers.tokens import END, Token

LONGEST = 2_000  # tokens
_RELATIONS = frozenset(("=", "!=", "<", "<=", ">", ">=", "in", "~", "to"))
_CLOSING = frozenset((")", "]", "}", "\\}", ")>"))
_SEPARATORS = frozenset((",", ";", "\\\\"))
_CONJUNCTIONS = frozenset(("and", "or", "和", "或", "与", "及", "或者", "以及"))
_BOTH = frozenset(("and",))
_LEAD_IN = re.compile(
    r"about|approximately|around|exactly|only|roughly|the|answer|is|equals|total|of|答|答案|.{0,9}[是为有共约得了于]",
    re.IGNORECASE,
)
_CURRENCIES = {"$": "$", "yen": "元", "euro": "euro", "pounds": "pounds sterling"}
_STARTS = frozenset(  # what multiplies with what stands before it
    [("mark", text) for text in ("(", "lfloor", "lceil", "{")]
    + [("command", text) for text in ("frac", "sqrt", "binom", "begin", "overline", "mathbb")]
)


def parse(text: str) -> Node:
    """The answer that a text holds. Raises ParseError if it isn't mathematics."""
    stream = tokens.tokenise(text)
    if len(stream) > LONGEST:
        raise ParseError(f"{len(stream)} tokens; expected at most {LONGEST}")
    parser = Parser(stream)
    answer = parser.answer()
    if parser.peek() is not END:
        raise ParseError(f"{parser.peek().text!r} is left over")
    return answer


class Parser(Atoms):
    """The rules above; atoms are in dsmath/answers/atoms.py."""

    def __init__(self, stream: list[Token]):
        super().__init__(stream)
        self.separators: set[str] = set()  # between items, anywhere

    def answer(self) -> Node:
        items = self.items()
        if not items:
            raise ParseError("nothing")
        if len(items) > 1 and self.separators <= _BOTH and all(map(_is_inequality, items)):
            return Apply("cap", tuple(items))
        return items[0] if len(items) == 1 else Sequence("", tuple(items), "")

    def items(self) -> list[Node]:
        """Items up to a closing bracket, which stays."""
        found = []
        while not self._at_end():
            if self._at_separator():
                self.separators.add(self.next().text.lower())
                continue
            found.append(self.item())
            if not self._at_end() and not self._at_separator():
                raise ParseError(f"{self.peek().text!r} after an item")
        return found

    def _at_end(self) -> bool:
        token = self.peek()
        return token is END or (token.kind == "mark" and token.text in _CLOSING)

    def _at_separator(self) -> bool:
        token = self.peek()
        if token.kind == "word":
            return token.text.lower() in _CONJUNCTIONS
        return token.kind == "mark" and token.text in _SEPARATORS

    def item(self) -> Node:
        while self.is_word() and _LEAD_IN.fullmatch(self.peek().text) and self.peek(1) is not END:
            self.position += 1
        if self.at("=", "~"):
            self.position += 1
        if self.is_word() and not self.at_constructor():
            return self._worded()
        currency, negative = self._currency()
        node = self.relation()
        if currency is None:
            return node
        node = Apply("neg", (node,)) if negative else node
        return Quantity(node.value if isinstance(node, Quantity) else node, currency)

    def _currency(self) -> tuple[str | None, bool]:
        """A currency sign, and whether a minus sign stands before it."""
        negative = self.at("-") and self.peek(1).text in _CURRENCIES
        token = self.peek(1 if negative else 0)
        if token is END:
            raise ParseError("it ends too early")
        if token.kind in ("mark", "command") and token.text in _CURRENCIES:
            self.position += 2 if negative else 1
            return _CURRENCIES[token.text], negative
        return None, False

    def _worded(self) -> Node:
        """An item that starts with words: a label before `=`, a number, or text."""
        text = self._words()
        if self.at("="):
            self.position += 1
            return Relation(("=",), (Text(text), self.side()))
        if (value := vocabulary.number(text)) is not None:
            return Number(Fraction(value))
        if (split := _number_and_noun(text)) is not None:
            return Quantity(Number(Fraction(split[0])), split[1])
        return Text(text)

    def _words(self) -> str:
        found: list[str] = []
        while self.is_word() and (not found or not self._at_separator()):
            found.append(self.next().text)
        return " ".join(found)

    def relation(self) -> Node:
        sides, operators = [self.side()], []
        while self.peek().kind == "mark" and self.peek().text in _RELATIONS:
            operators.append(self.next().text)
            sides.append(self.item() if self.is_word() or self._is_currency() else self.side())
        if not operators:
            return sides[0]
        return Relation(tuple(operators), tuple(sides))

    def _is_currency(self) -> bool:
        token = self.peek()
        return token.kind in ("mark", "command") and token.text in _CURRENCIES

    def side(self) -> Node:
        node = _quantity(self.ratio())
        if self._is_currency():
            unit = _CURRENCIES[self.next().text]
            node = node if isinstance(node, Quantity) else Quantity(node, unit)
        if not self.is_word() or self._at_separator():
            return node
        name = self._words()
        if isinstance(node, Ratio) and name.lower() in ("am", "pm"):
            raise ParseError("a time of day")
        if (scale := vocabulary.scale(name)) is not None:
            node, name = Apply("*", (node, Number(scale[0]))), scale[1]
        while self.at("/") and self.peek(1).kind in ("word", "symbol"):
            name += self.next().text + self.next().text
        power = ""
        if self.at("^"):
            self.position += 1
            power = self.script()
        if isinstance(node, Quantity) or not name:
            return node
        node = Quantity(node, _unit_name(name, power))
        following = self.peek()
        return node if following.kind != "number" else _together(node, self.side())

    def ratio(self) -> Node:
        terms = [self.union()]
        while self.at(":"):
            self.position += 1
            if re.fullmatch(r"0\d", self.peek().text):
                raise ParseError("a time of day")
            terms.append(self.union())
        return terms[0] if len(terms) == 1 else Ratio(tuple(terms))

    def union(self) -> Node:
        node = self.sum()
        while self.at("cup", "cap", "setminus"):
            node = Apply(self.next().text, (node, self.sum()))
        return node

    def sum(self) -> Node:
        self.deeper()
        node = self._signed_product()
        while self.at("+", "-", "pm", "mp"):
            operator = self.next().text
            right = self._signed_product() if self.at("+", "-") else self.product()
            if operator == "-":
                operator, right = "+", Apply("neg", (right,))
            node = Apply(operator, (node, right))
        self.depth -= 1
        return node

    def _signed_product(self) -> Node:
        negative = False
        while self.at("+", "-"):
            negative ^= self.next().text == "-"
        node = Apply(self.next().text, (ZERO, self.product())) if self.at("pm", "mp") else self.product()
        return Apply("neg", (node,)) if negative else node

    def product(self) -> Node:
        node = self.factor()
        while (token := self.peek()) is not END:
            if self.at("*", "/"):
                operator = self.next().text
                node = _product(operator, node, self.factor())
            elif self._multiplies(token, node):
                node = _product("*", node, self.power())
            else:
                break
        return node

    def _multiplies(self, token: Token, node: Node) -> bool:
        """Whether a token is a factor of the node that stands before it. Two numbers in a row are no product."""
        if token.kind == "number":
            return not isinstance(node, Number)
        return token.kind in ("symbol", "function") or (token.kind, token.text) in _STARTS

    def factor(self) -> Node:
        negative = False
        while self.at("+", "-"):
            negative ^= self.next().text == "-"
        node = self.power()
        return Apply("neg", (node,)) if negative else node

    def power(self) -> Node:
        node = self.postfix()
        if self.at("^"):
            self.position += 1
            node = Apply("^", (node, self.exponent()))
            while self.at("!"):
                self.position += 1
                node = Apply("!", (node,))
        return node

    def postfix(self) -> Node:
        node = self.atom()
        while True:
            if self.at("!"):
                self.position += 1
                node = Apply("!", (node,))
            elif self.at("%"):
                self.position += 1
                node = Apply("percent", (node,))
            elif self.skip_degree():
                node = Apply("degree", (node,))
            else:
                return node


def _is_inequality(node: Node) -> bool:
    return isinstance(node, Relation) and all(operator in ("<", "<=", ">", ">=") for operator in node.operators)


def _product(operator: str, a: Node, b: Node) -> Node:
    """A product or a quotient; of a number and a matrix, the matrix."""
    if operator == "*" and isinstance(b, Matrix) and isinstance(a, (Number, Symbol, Apply)):
        return Matrix(tuple(tuple(Apply("*", (a, cell)) for cell in row) for row in b.rows))
    return Apply(operator, (a, b))


_UNIT_OF = {"percent": "%", "degree": "degree"}


def _quantity(node: Node) -> Node:
    """A percentage or an angle as a quantity, a negative one, too."""
    inner = node.arguments[0] if isinstance(node, Apply) and node.function == "neg" else node
    if not (isinstance(inner, Apply) and inner.function in _UNIT_OF):
        return node
    value = inner.arguments[0] if inner is node else Apply("neg", inner.arguments)
    return Quantity(value, _UNIT_OF[inner.function])


def _together(large: Quantity, small: Node) -> Quantity:
    """`1 hour 30 minutes` in hours, 12元5角 in yuan."""
    whole, part = vocabulary.unit(large.unit), vocabulary.unit(small.unit) if isinstance(small, Quantity) else None
    if not (isinstance(small, Quantity) and whole and part and whole[0] == part[0] and whole[1] > part[1]):
        raise ParseError("a number behind a quantity")
    more = Apply("*", (small.value, Number(part[1] / whole[1])))
    return Quantity(Apply("+", (large.value, more)), large.unit)


def _unit_name(name: str, power: str) -> str:
    if name.lower() in ("percent", "per cent", "pct"):
        return "%"
    if name.lower() in ("degrees", "degree", "度"):
        return "degree"
    return f"{name}^{power}" if power else name


def _number_and_noun(text: str) -> tuple[Fraction, str] | None:
    """`twelve apples`, 十二个."""
    head, _, noun = text.partition(" ")
    if noun and (value := vocabulary.number(head)) is not None:
        return value, noun
    return None
