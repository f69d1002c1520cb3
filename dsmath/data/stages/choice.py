"""Which of a problem's right solutions are kept: the first ones of so many different ones.

Two solutions are alike if their programs are, but for comments, docstrings, white space and the names of what they
define themselves.
"""

import ast
import builtins
import warnings
from collections.abc import Hashable, Sequence

from dsmath.records import Trajectory

AGAIN = "a program as before"
BEYOND = "beyond the number that is kept"

_BUILT_IN = frozenset(dir(builtins))
_NAMED: dict[type, str] = {  # where a node has a name that it gives, or uses
    ast.Name: "id",
    ast.arg: "arg",
    ast.alias: "asname",
    ast.ExceptHandler: "name",
    ast.MatchAs: "name",
    ast.MatchStar: "name",
    ast.MatchMapping: "rest",
    **dict.fromkeys((ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef), "name"),
    **dict.fromkeys((ast.Global, ast.Nonlocal), "names"),
}


def fates(alike: Sequence[Hashable], keep: int) -> list[str]:
    """Of a problem's right solutions, in the order of samples, why each isn't kept; "" if it is. Equal entries of
    `alike` are one solution.
    """
    seen: set[Hashable] = set()
    found = []
    for one in alike:
        found.append(AGAIN if one in seen else BEYOND if len(seen) >= keep else "")
        seen.add(one)
    return found


def likeness(trajectory: Trajectory) -> Hashable:
    """What is equal for solutions that are alike: of one without programs, its words."""
    if trajectory.programs:
        return tuple(normalised(program.code) for program in trajectory.programs)
    return " ".join(trajectory.text.split())


def normalised(program: str) -> str:
    """A program with numbers for the names that it gives, without what nobody runs; for comparison alone.

    Names stay that are built in or imported, or that are an attribute or a keyword somewhere in the program, where one
    text may be two things. A program that doesn't parse is itself, without blank lines and spaces at ends of lines.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes in strings
            tree = ast.parse(program)
        _Plain(_own_names(tree)).visit(tree)
        return ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "\n".join(line.rstrip() for line in program.splitlines() if line.strip())


def _own_names(tree: ast.Module) -> set[str]:
    own, others = set(), set(_BUILT_IN)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                others.add(name)
            case ast.MatchClass(kwd_attrs=names):
                others.update(names)
            case ast.alias(name=name, asname=None):
                others.add(name.partition(".")[0])
            case ast.Name(ctx=ast.Load()):
                pass
            case _ if type(node) in _NAMED:
                own.update(_names(node))
    return own - others


def _names(node: ast.AST) -> list[str]:
    given = getattr(node, _NAMED[type(node)])
    return given if isinstance(given, list) else [given] if given else []


class _Plain(ast.NodeTransformer):
    """Numbers for own names, in the order in which they come; no bare strings."""

    def __init__(self, own: set[str]):
        self._own = own
        self._numbers: dict[str, str] = {}

    def visit(self, node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        if type(node) in _NAMED:
            field = _NAMED[type(node)]
            new = [self._number(name) for name in _names(node)]
            if new:
                setattr(node, field, new if isinstance(getattr(node, field), list) else new[0])
        return self.generic_visit(node)

    def _number(self, name: str) -> str:
        return self._numbers.setdefault(name, str(len(self._numbers))) if name in self._own else name
