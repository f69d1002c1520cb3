"""Sets of real numbers: intervals, unions, inequalities, finite sets."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import TypeGuard

from dsmath.answers import numeric
from dsmath.answers.labels import ascending
from dsmath.answers.nodes import Apply, Node, Number, Relation, Sequence, Symbol

INFINITY = Symbol("infty")
MINUS_INFINITY = Apply("neg", (INFINITY,))
_ONE = Number(Fraction(1))
ZERO = Number(Fraction(0))
REALS = Symbol("mathbb R")


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """An interval, or a point."""

    low: Node
    low_closed: bool
    high: Node
    high_closed: bool


def pieces(node: Node, less: Callable[[Node, Node], bool]) -> list[Piece] | None:
    """The intervals and points of a set, or None if the node is none. Points to leave out are put in order."""
    if node == REALS:
        return [Piece(MINUS_INFINITY, False, INFINITY, False)]
    if isinstance(node, Sequence):
        return _of_sequence(node, less)
    if isinstance(node, Relation):
        return _of_relation(node, less)
    if isinstance(node, Apply) and node.function == "cup":
        sides = [pieces(side, less) for side in node.arguments]
        return None if None in sides else _merged([piece for side in sides for piece in side or ()], less)
    if isinstance(node, Apply) and node.function == "cap":
        sides = [pieces(side, less) for side in node.arguments]
        return None if None in sides else _common([side for side in sides if side is not None], less)
    if isinstance(node, Apply) and node.function == "setminus" and node.arguments[0] == REALS:
        points = node.arguments[1]
        return _without(points.items, less) if isinstance(points, Sequence) and points.left == "\\{" else None
    return None


def _of_sequence(node: Sequence, less) -> list[Piece] | None:
    if node.left in ("(", "[") and len(node.items) == 2:
        low, high = node.items
        return [
            Piece(low, node.left == "[" and not is_infinite(low), high, node.right == "]" and not is_infinite(high))
        ]
    if node.left == "\\{":
        return [Piece(item, True, item, True) for item in node.items]
    if node.left == "" and node.items and all(isinstance(item, Relation) for item in node.items):
        inequations = [item for item in node.items if _is_inequation(item)]
        if len(inequations) == len(node.items):
            return _without([_inequation_value(item) for item in inequations], less)
        sides = [pieces(item, less) for item in node.items]
        return None if None in sides else [piece for side in sides for piece in side or ()]
    return None


def _of_relation(node: Relation, less) -> list[Piece] | None:
    if node.operators == ("in",):
        return pieces(node.sides[1], less)
    if _is_inequation(node):
        return _without([_inequation_value(node)], less)
    node = ascending(node)
    operators, sides = node.operators, node.sides
    if not all(operator in ("<", "<=") for operator in operators):
        return None
    if len(sides) == 3 and _is_absolute(sides[1]) and not less(sides[0], ZERO):
        low, high = ((side, operator == "<=") for side, operator in zip(sides[::2], operators, strict=True))
        return _mirrored(low, high)
    if len(sides) == 3 and _is_variable(sides[1]):
        return [Piece(sides[0], operators[0] == "<=", sides[2], operators[1] == "<=")]
    if len(sides) == 2 and _is_variable(sides[0]):
        return [Piece(MINUS_INFINITY, False, sides[1], operators[0] == "<=")]
    if len(sides) == 2 and _is_variable(sides[1]):
        return [Piece(sides[0], operators[0] == "<=", INFINITY, False)]
    return None


def _mirrored(low: tuple[Node, bool], high: tuple[Node, bool]) -> list[Piece]:
    """The numbers whose absolute value lies between two bounds, each closed or not."""
    negative = [(Apply("neg", (bound,)), closed) for bound, closed in (high, low)]
    return [Piece(*negative[0], *negative[1]), Piece(*low, *high)]


def _without(points, less) -> list[Piece] | None:
    """The reals without some points."""
    ordered: list[Node] = []
    for point in points:
        position = next((i for i, other in enumerate(ordered) if less(point, other)), len(ordered))
        ordered.insert(position, point)
    ends = [MINUS_INFINITY, *ordered, INFINITY]
    return [Piece(low, False, high, False) for low, high in itertools.pairwise(ends)]


def _merged(found: list[Piece], less) -> list[Piece]:
    """Pieces that meet or overlap as one; where an end is no real number, all stay as they are."""
    ends = [end for piece in found for end in (piece.low, piece.high) if not is_infinite(end)]
    if any(numeric.symbols(end) or not less(end, Apply("+", (end, _ONE))) for end in ends):
        return found
    before = functools.partial(_before, less=less)

    def order(a: Piece, b: Piece) -> int:
        if before(a.low, b.low) or before(b.low, a.low):
            return -1 if before(a.low, b.low) else 1
        return b.low_closed - a.low_closed

    merged: list[Piece] = []
    for piece in sorted(found, key=functools.cmp_to_key(order)):
        last = merged[-1] if merged else piece
        both_open = not before(piece.low, last.high) and not (last.high_closed or piece.low_closed)
        if not merged or before(last.high, piece.low) or both_open:
            merged.append(piece)
        elif before(last.high, piece.high):
            merged[-1] = dataclasses.replace(last, high=piece.high, high_closed=piece.high_closed)
        elif not before(piece.high, last.high):
            merged[-1] = dataclasses.replace(last, high_closed=last.high_closed or piece.high_closed)
    return merged


def _common(sides: list[list[Piece]], less) -> list[Piece]:
    """What lies in all of several sets; "x < 1 and x > 2", where nothing does, is meant as either."""
    found = sides[0]
    for other in sides[1:]:
        found = [part for a in found for b in other if (part := _overlap(a, b, less)) is not None]
    return found or _merged([piece for side in sides for piece in side], less)


def _overlap(a: Piece, b: Piece, less) -> Piece | None:
    low, high = a, a
    if _before(a.low, b.low, less=less) or (not _before(b.low, a.low, less=less) and not b.low_closed):
        low = b
    if _before(b.high, a.high, less=less) or (not _before(a.high, b.high, less=less) and not b.high_closed):
        high = b
    point = not _before(low.low, high.high, less=less)
    if point and (_before(high.high, low.low, less=less) or not (low.low_closed and high.high_closed)):
        return None
    return Piece(low.low, low.low_closed, high.high, high.high_closed)


def _before(a: Node, b: Node, *, less) -> bool:
    if is_infinite(a) or is_infinite(b):
        return a != b and (a == MINUS_INFINITY or b == INFINITY)
    return less(a, b)


def is_infinite(node: Node) -> bool:
    """Whether a node is plus or minus infinity."""
    return node in (INFINITY, MINUS_INFINITY)


def _is_variable(node: Node) -> bool:
    return isinstance(node, Symbol) and node.name not in ("infty", "pi", "e", "i")


def _is_absolute(node: Node) -> TypeGuard[Apply]:
    return isinstance(node, Apply) and node.function == "abs" and _is_variable(node.arguments[0])


def _is_inequation(node: Node) -> TypeGuard[Relation]:
    return isinstance(node, Relation) and node.operators == ("!=",) and any(map(_is_variable, node.sides))


def _inequation_value(node: Relation) -> Node:
    return node.sides[1] if _is_variable(node.sides[0]) else node.sides[0]
