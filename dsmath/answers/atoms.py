"""The smallest parts of an answer: numbers, symbols, fractions, roots, functions, brackets, matrices."""

import abc
import re
import string
from fractions import Fraction

from dsmath.answers.nodes import Apply, Based, Matrix, Node, Number, ParseError, Quantity, Sequence, Symbol
from dsmath.answers.tokens import END, Token

LARGEST_DETERMINANT = 4
DEEPEST = 40  # nested brackets, groups and exponents
ZERO = Number(Fraction(0))
_DIGITS = string.digits + string.ascii_uppercase
_BASES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_CLOSING = {"(": (")", "]"), "[": ("]", ")"), "\\{": ("\\}",), "<(": (")>",)}
_CALLED = frozenset("fghFGHP")  # f(2) is a value of f, x(2) a product
_MATRICES = re.compile(r"[pbvBV]?matrix|smallmatrix|array")


class Atoms(abc.ABC):
    """Position in a stream of tokens, and the rules for atoms. The rules above them are in Parser."""

    @abc.abstractmethod
    def items(self) -> list[Node]: ...
    @abc.abstractmethod
    def relation(self) -> Node: ...
    @abc.abstractmethod
    def sum(self) -> Node: ...
    @abc.abstractmethod
    def factor(self) -> Node: ...
    @abc.abstractmethod
    def power(self) -> Node: ...

    def __init__(self, stream: list[Token]):
        self.stream = stream
        self.position = 0
        self.depth = 0

    def peek(self, ahead: int = 0) -> Token:
        index = self.position + ahead
        return self.stream[index] if index < len(self.stream) else END

    def next(self) -> Token:
        token = self.peek()
        if token is END:
            raise ParseError("it ends too early")
        self.position += 1
        return token

    def at(self, *marks: str) -> bool:
        token = self.peek()
        return token.kind == "mark" and token.text in marks

    def expect(self, *marks: str) -> str:
        if not self.at(*marks):
            raise ParseError(f"expected {marks[0]!r}")
        return self.next().text

    def is_word(self) -> bool:
        token = self.peek()
        return token.kind == "word"

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ParseError(f"nested deeper than {DEEPEST}")

    def atom(self) -> Node:
        token = self.peek()
        if token is END:
            raise ParseError("it ends too early")
        rule = {
            "number": self._number,
            "symbol": self._symbol,
            "function": self._function,
            "command": self._command,
            "mark": self._bracket,
            "word": self._constructor,
        }[token.kind]
        return rule()

    def _number(self) -> Node:
        token = self.next()
        if (based := self._based(token)) is not None:
            return based
        following = self.peek()
        if following.kind == "command" and following.text == "overline" and "." in token.text:
            return self._repeating(token.text)
        number = literal(token.text)
        if number.places is None and following is not END:
            return self._mixed(number) or number
        return number

    def _based(self, first: Token) -> Based | None:
        """`1011_2`, `152A_{11}`."""
        start, digits = self.position, first.text
        while not (token := self.peek()).spaced and re.fullmatch(r"\d+|[A-Z]", token.text):
            digits += self.next().text
        if self.at("_"):
            self.position += 1
            script = self.script()
            base = _BASES.get(script) or (int(script) if re.fullmatch(r"\d{1,2}", script, re.ASCII) else 0)
            if 2 <= base <= 36 and re.fullmatch(r"[0-9A-Z]*\.?[0-9A-Z]+", digits):
                return Based(digits, base, _in_base(digits, base))
            raise ParseError(f"base {script!r}")
        self.position = start
        return None

    def _repeating(self, text: str) -> Number:
        r"""`0.1\overline{6}`."""
        self.position += 1
        period = self.script()
        if not period.isdecimal() or len(period) > 100:
            raise ParseError(f"{period!r} repeated")
        places = len(text.partition(".")[2])
        return Number(Fraction(text + "0") + Fraction(int(period), (10 ** len(period) - 1) * 10**places))

    def _mixed(self, whole: Number) -> Node | None:
        r"""`1\frac{1}{2}` and `1 1/2`: a proper fraction behind an integer is added."""
        start = self.position
        token = self.next()
        fraction: tuple[Node, ...] = ()
        if token.kind == "command" and token.text == "frac":
            fraction = (self._argument(), self._argument())
        elif token.kind == "number" and token.spaced and self.at("/"):
            self.position += 1
            if self.peek().kind == "number":
                fraction = (literal(token.text), literal(self.next().text))
        integers = [part.value for part in fraction if isinstance(part, Number) and part.places is None]
        if len(integers) == 2:
            above, below = integers
            if 0 < above < below:
                return Number(whole.value + above / below)
        self.position = start
        return None

    def _symbol(self) -> Node:
        token = self.next()
        name = token.text
        if self.at("_"):
            self.position += 1
            name += "_" + self.script()
        if name in _CALLED and self.at("("):
            arguments = self.sequence()
            return Apply(f"call {name}", arguments.items if isinstance(arguments, Sequence) else (arguments,))
        return Symbol(name)

    def _function(self) -> Node:
        name = self.next().text
        base = power = None
        while self.at("_", "^"):
            if self.next().text == "_":
                base = self._argument()
            else:
                power = self.exponent()
        if self.at("("):
            inner = self.sequence()
            arguments = inner.items if isinstance(inner, Sequence) and inner.left == "(" else (inner,)
        else:
            arguments = (self._implicit_argument(),)
        if name == "log" and base is not None:
            arguments = (*arguments, base)
        if power == Apply("neg", (Number(Fraction(1)),)) and f"arc{name}" in ("arcsin", "arccos", "arctan"):
            return Apply(f"arc{name}", arguments)
        node = Apply(name, arguments)
        return node if power is None else Apply("^", (node, power))

    def _implicit_argument(self) -> Node:
        r"""Of `\sin 2\pi x`, `2\pi x`: factors up to the next sign, bracket or function."""
        self.deeper()
        node = self.power()
        while (token := self.peek()) is not END and (
            token.kind == "symbol" or (token.kind == "command" and token.text in ("frac", "sqrt"))
        ):
            node = Apply("*", (node, self.power()))
        self.depth -= 1
        return node

    def _command(self) -> Node:
        name = self.next().text
        if name in ("frac", "binom"):
            return Apply("/" if name == "frac" else "binom", (self._argument(), self._argument()))
        if name == "sqrt":
            return self._root()
        if name == "begin":
            return self._environment()
        if name == "mathbb":
            return Symbol("mathbb " + self.script())
        if name in ("emptyset", "varnothing"):
            return Sequence("\\{", (), "\\}")
        if name == "overline":
            return Apply("overline", (self._argument(),))
        raise ParseError(f"\\{name} is no value")

    def _root(self) -> Node:
        index = None
        if self.at("["):
            self.position += 1
            index = self.sum()
            self.expect("]")
        token = self.peek()
        radicand = self.atom() if token.kind == "number" else self._argument()
        return Apply("sqrt", (radicand,)) if index is None else Apply("root", (radicand, index))

    def _argument(self) -> Node:
        r"""The argument of a command: a group, or one token, of a number its first digit."""
        token = self.peek()
        if token.kind == "number" and len(token.text) > 1 and token.text.isdecimal():
            halves = [Token("number", part) for part in (token.text[0], token.text[1:])]
            self.stream[self.position : self.position + 1] = halves
        return self.atom()

    def exponent(self) -> Node:
        """What stands after `^`: a group, or a number, a symbol, a function with their signs."""
        self.deeper()
        node = self.factor()
        self.depth -= 1
        return node

    def script(self) -> str:
        """The text of a subscript, or of an exponent of a unit."""
        if not self.at("{"):
            return self.next().text
        self.position += 1
        parts = []
        while not self.at("}"):
            parts.append(self.next().text)
        self.position += 1
        return "".join(parts)

    def skip_degree(self) -> bool:
        r"""Whether `^\circ` or `^{\circ}` stood here, with the C or F of a temperature."""
        ahead = [token.text for token in self.stream[self.position : self.position + 4]]
        if ahead[:2] == ["^", "circ"]:
            self.position += 2
        elif ahead == ["^", "{", "circ", "}"]:
            self.position += 4
        elif ahead[:1] == ["circ"]:
            self.position += 1
        else:
            return False
        if self.peek().text in ("C", "F"):
            self.position += 1
        return True

    def _bracket(self) -> Node:
        mark = self.peek().text
        if mark == "{":
            self.position += 1
            self.deeper()
            items = self.items()
            self.expect("}")
            self.depth -= 1
            if not items:
                raise ParseError("an empty group")
            return items[0] if len(items) == 1 else Sequence("", tuple(items), "")
        if mark in _CLOSING:
            return self.sequence()
        if mark in ("|", "lfloor", "lceil"):
            self.position += 1
            node = self.sum()
            self.expect({"|": "|", "lfloor": "rfloor", "lceil": "rceil"}[mark])
            return Apply({"|": "abs", "lfloor": "floor", "lceil": "ceiling"}[mark], (node,))
        raise ParseError(f"{mark!r} starts no value")

    def sequence(self) -> Node:
        """Elements in brackets. Around one element, `(` and `[` only group."""
        self.deeper()
        left = self.next().text
        items = self.items()
        right = self.expect(*_CLOSING[left])
        self.depth -= 1
        if len(items) == 1 and (left, right) in (("(", ")"), ("[", "]")):
            return _operand(items[0])
        return Sequence(left, tuple(items), right)

    def _environment(self) -> Node:
        """A matrix between \\begin and \\end."""
        kind = self.script()
        if not _MATRICES.fullmatch(kind):
            raise ParseError(f"environment {kind!r}")
        if kind == "array":
            self.script()
        rows: list[list[Node]] = [[]]
        while self.peek().text != "end":
            if self.at("\\\\"):
                self.position += 1
                rows.append([])
            elif self.at("&"):
                self.position += 1
            else:
                rows[-1].append(self.relation())
        self.position += 1
        self.script()
        matrix = Matrix(tuple(tuple(row) for row in rows if row))
        return _determinant(matrix.rows) if kind == "vmatrix" else matrix

    def at_constructor(self) -> bool:
        """Whether a class of SymPy is called here."""
        token, following = self.peek(), self.peek(1)
        called = token.text in ("Rational", "Matrix")
        return called and following.text == "("

    def _constructor(self) -> Node:
        """`Rational(1, 2)` and `Matrix([[1, 2], [3, 4]])`, as SymPy prints them."""
        if not self.at_constructor():
            raise ParseError(f"{self.peek().text!r} in an expression")
        name = self.next().text
        inner = self.sequence()
        if not isinstance(inner, Sequence):
            raise ParseError(f"{name} of one element")
        if name == "Rational":
            return Apply("/", inner.items)
        rows = (row.items if isinstance(row, Sequence) else (row,) for row in inner.items)
        return Matrix(tuple(rows))


def _determinant(rows: tuple[tuple[Node, ...], ...]) -> Node:
    """By its first row."""
    if not 1 <= len(rows) <= LARGEST_DETERMINANT or any(len(row) != len(rows) for row in rows):
        raise ParseError("a determinant that isn't square, or large")
    if len(rows) == 1:
        return rows[0][0]
    total: Node = ZERO
    for column, cell in enumerate(rows[0]):
        minor = _determinant(tuple(row[:column] + row[column + 1 :] for row in rows[1:]))
        term = Apply("*", (cell, minor))
        total = Apply("+", (total, Apply("neg", (term,)) if column % 2 else term))
    return total


def _operand(node: Node) -> Node:
    """A percentage or an angle as what can be calculated with."""
    if not isinstance(node, Quantity):
        return node
    function = {"%": "percent", "degree": "degree"}.get(node.unit)
    return Apply(function, (node.value,)) if function else node


def literal(text: str) -> Number:
    """A number as it is written: its value, and for decimals its precision."""
    text = text.rstrip(".")
    mantissa = re.split("[eE]", text)[0]
    if len(text) - len(mantissa) > 5:
        raise ParseError(f"the exponent of {text}")
    value = Fraction(text)
    if "." not in mantissa:
        return Number(value)
    places = len(mantissa.partition(".")[2])
    if mantissa != text:
        places -= int(text[len(mantissa) + 1 :])
    return Number(value, max(places, 0), len(mantissa.replace(".", "").lstrip("0")))


def _in_base(digits: str, base: int) -> Fraction:
    whole, _, rest = digits.partition(".")
    if any(_DIGITS.index(digit) >= base for digit in whole + rest):
        raise ParseError(f"digits {digits} in base {base}")
    return Fraction(int(whole or "0", base)) + (Fraction(int(rest, base), base ** len(rest)) if rest else 0)
