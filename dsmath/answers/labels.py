"""What answers say besides their values: `x =` before a value, both signs of `\\pm`, letters."""

import re
import string
from collections.abc import Callable
from typing import TypeGuard

from dsmath.answers import numeric
from dsmath.answers.nodes import Apply, Node, Number, Quantity, Relation, Sequence, Symbol, Text

CAPITALS = frozenset(string.ascii_uppercase)
_UNIT_LETTERS = frozenset("mgshL")
_MIRRORED = {">": "<", ">=": "<="}


def strip(p: Node, g: Node, equal: Callable[[Node, Node], bool]) -> tuple[Node, Node]:
    """Prediction and gold, their labels removed where only one of them has one."""
    p, g = _about(p), _about(g)
    if _is_equation(p) and _is_equation(g):
        return _ends(p), _ends(g)
    if _is_equation(p) and not isinstance(g, Relation):
        return _right_side(p, equal), g
    if _is_equation(g) and not isinstance(p, Relation) and (_is_name(g.sides[0]) or _is_measure(g.sides[0])):
        return p, g.sides[-1]
    if _is_membership(p) and not isinstance(g, Relation):
        return p.sides[1], g
    if _is_membership(g) and not isinstance(p, Relation):
        return p, g.sides[1]
    return _coordinates(p, g), _coordinates(g, p)


def _about(node: Node) -> Node:
    r"""`x \approx 3` is `x = 3`; of `\frac{1}{3} \approx 0.3`, what is exact."""
    if not isinstance(node, Relation) or "~" not in node.operators:
        return node
    at = node.operators.index("~")
    if at == 0 and numeric.symbols(node.sides[0]):
        return Relation(tuple("=" if op == "~" else op for op in node.operators), node.sides)
    return node.sides[0] if at == 0 else Relation(node.operators[:at], node.sides[: at + 1])


def _is_equation(node: Node) -> TypeGuard[Relation]:
    return isinstance(node, Relation) and set(node.operators) == {"="}


def _is_membership(node: Node) -> TypeGuard[Relation]:
    return isinstance(node, Relation) and node.operators == ("in",)


def _ends(node: Relation) -> Relation:
    """Of `y = 2 + 3 = 5`, `y = 5`."""
    return Relation(("=",), (node.sides[0], node.sides[-1]))


def _right_side(node: Relation, equal) -> Node:
    """The value that an equation gives to its left side, or the equation if it doesn't."""
    left, right = node.sides[0], node.sides[-1]
    negative = isinstance(left, Apply) and left.function == "neg"
    if _is_name(left) or (numeric.symbols(left) and not _has_number(left) and not negative):
        return right
    is_sum = not numeric.symbols(left) and not isinstance(left, (Text, Sequence)) and equal(left, right)
    return right if is_sum else node


def _is_name(node: Node) -> bool:
    """A symbol, a text, a value f(x), or a tuple of such."""
    if isinstance(node, Sequence):
        return all(map(_is_name, node.items))
    return isinstance(node, (Symbol, Text)) or (isinstance(node, Apply) and node.function.startswith("call "))


def _is_measure(node: Node) -> bool:
    r"""A length `AB`, `|AB|` or an area `[ABC]`, by the capital letters of its points; or the quotient of two such."""
    if isinstance(node, Apply) and node.function == "/":
        return all(map(_is_measure, node.arguments))
    if isinstance(node, Apply) and node.function == "abs":
        return _is_measure(node.arguments[0])
    if isinstance(node, Sequence):
        return (node.left, node.right, len(node.items)) == ("[", "]", 1) and _is_measure(node.items[0])
    points = _factors(node)
    return len(points) > 1 and all(isinstance(point, Symbol) and point.name in CAPITALS for point in points)


def _factors(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Apply) and node.function == "*":
        return tuple(factor for argument in node.arguments for factor in _factors(argument))
    return (node,)


def _has_number(node: Node) -> bool:
    if isinstance(node, Apply):
        arguments = node.arguments[:1] if node.function == "^" else node.arguments
        return any(map(_has_number, arguments))
    return isinstance(node, (Number, Quantity))


def _coordinates(node: Node, other: Node) -> Node:
    """`x = 1, y = 2` where the other side is a pair: (1, 2), in the order of the names."""
    if not (isinstance(node, Sequence) and node.left == "" and isinstance(other, Sequence) and other.left == "("):
        return node
    named = [
        (item.sides[0].name, item.sides[-1])
        for item in node.items
        if _is_equation(item) and isinstance(item.sides[0], Symbol)
    ]
    if len(named) < len(node.items):
        return node
    return Sequence("(", tuple(value for _, value in sorted(named, key=lambda pair: pair[0])), ")")


def define_the_same(p: Relation, g: Relation) -> bool:
    """Whether one is `f(x) = ...` and the other `y = ...`."""
    if p.operators != ("=",) or g.operators != ("=",):
        return False
    lefts = (p.sides[0], g.sides[0])
    return Symbol("y") in lefts and any(isinstance(x, Apply) and x.function.startswith("call ") for x in lefts)


def with_unit(p: Node, g: Node) -> Node:
    """`12 m` as a quantity, where the gold answer has no symbols."""
    if not (isinstance(p, Apply) and p.function == "*" and isinstance(p.arguments[1], Symbol)):
        return p
    value, unit = p.arguments[0], p.arguments[1].name
    if unit not in _UNIT_LETTERS or numeric.symbols(value) or not isinstance(g, (Number, Apply, Quantity)):
        return p
    return p if numeric.symbols(g) else Quantity(value, unit)


def ascending(node: Relation) -> Relation:
    """The relation with `<` for `>`."""
    if all(operator in _MIRRORED for operator in node.operators):
        return Relation(tuple(_MIRRORED[op] for op in reversed(node.operators)), node.sides[::-1])
    return node


def has_signs(node: Node) -> bool:
    r"""Whether `\pm` is in it."""
    if isinstance(node, Apply):
        return node.function in ("pm", "mp") or any(map(has_signs, node.arguments))
    if isinstance(node, Relation):
        return any(map(has_signs, node.sides))
    if isinstance(node, Sequence):
        return node.left in ("", "\\{") and any(map(has_signs, node.items))
    return isinstance(node, Quantity) and has_signs(node.value)


def both_signs(node: Node) -> tuple[Node, ...]:
    r"""The answers that a node holds: the elements of a list, the different ones of a set; for `\pm` both signs."""
    if isinstance(node, Sequence) and node.left in ("", "\\{"):
        answers = tuple(answer for item in node.items for answer in both_signs(item))
        return tuple(dict.fromkeys(answers)) if node.left else answers
    return (_with_sign(node, 1), _with_sign(node, -1)) if has_signs(node) else (node,)


def _with_sign(node: Node, sign: int) -> Node:
    if isinstance(node, Apply):
        arguments = tuple(_with_sign(argument, sign) for argument in node.arguments)
        if node.function in ("pm", "mp"):
            left, right = arguments
            return Apply("+", (left, right if (sign > 0) == (node.function == "pm") else Apply("neg", (right,))))
        return Apply(node.function, arguments)
    if isinstance(node, Relation):
        return Relation(node.operators, tuple(_with_sign(side, sign) for side in node.sides))
    return Quantity(_with_sign(node.value, sign), node.unit) if isinstance(node, Quantity) else node


def letters(node: Node) -> str:
    """A text, or a product of symbols, without punctuation; capitals count for single letters alone."""
    text = _spelled(node)
    return text if len(text) <= 1 else text.casefold()


def _spelled(node: Node) -> str:
    if isinstance(node, Text):
        return re.sub(r"\\(?:text|mbox|mathrm|textbf|mathbf)|[\s.,;:!?(){}\[\]$'\"]", "", node.text)
    if isinstance(node, Symbol):
        return node.name
    if isinstance(node, Number):
        return str(node.value)
    if isinstance(node, Quantity):
        return _spelled(node.value) + re.sub(r"\W", "", node.unit)
    if isinstance(node, Apply) and node.function == "*":
        parts = [_spelled(argument) for argument in node.arguments]
        return "".join(parts) if all(parts) else ""
    return ""
