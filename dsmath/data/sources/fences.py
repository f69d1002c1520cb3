"""Tool-integrated solutions as others publish them: prose, programs between marks, and what the programs printed.

What was printed is thrown away: programs run again, here. A solution whose programs aren't each followed by an output
is unusable, because the model would have gone on without having seen one.
"""

import ast
import dataclasses
from collections.abc import Callable

from dsmath.data.source import Unusable
from dsmath.records import FENCE, OUTPUT_FENCE, PYTHON_FENCE
from dsmath.text.template import program


@dataclasses.dataclass(frozen=True)
class Marks:
    """What programs and their outputs stand between."""

    code: str
    code_end: str
    output: str
    output_end: str


FENCES = Marks(PYTHON_FENCE, f"\n{FENCE}", OUTPUT_FENCE, f"\n{FENCE}")
LLM_CODE = Marks("<llm-code>", "</llm-code>", "<llm-code-output>", "</llm-code-output>")


def turns(solution: str, marks: Marks, finish: Callable[[str], str] = lambda code: code) -> tuple[str, ...]:
    """The turns of a solution, all but the last of which end with a program, which `finish` may change.

    Raises Unusable for a solution without a program, and for one that isn't prose and programs in turn.
    """
    found: list[str] = []
    rest = solution
    while marks.code in rest:
        before, _, rest = rest.partition(marks.code)
        code, closed, rest = rest.partition(marks.code_end)
        if not closed:
            raise Unusable("a program is cut short")
        rest = rest.lstrip()
        if not rest.startswith(marks.output):
            raise Unusable("a program without an output")
        _, closed, rest = rest.removeprefix(marks.output).partition(marks.output_end)
        if not closed:
            raise Unusable("an output is cut short")
        code = code.strip("\n").rstrip()
        if not code.strip():
            raise Unusable("an empty program")
        found.append(f"{_plain(before.strip(), marks)}\n{program(_plain(finish(code), marks))}".lstrip("\n"))
    if not found:
        raise Unusable("no program")
    if not (last := _plain(rest.strip(), marks)):
        raise Unusable("nothing follows the last output")
    return (*found, last)


def _plain(text: str, marks: Marks) -> str:
    if FENCE in text or marks.output in text:
        raise Unusable("another fence")
    return text


def printing(code: str) -> str:
    """A program that prints its last expression, as a notebook shows it; one that ends in a statement or prints already
    stays as it is.

    A value that a notebook doesn't show, None, is printed. Raises Unusable for what isn't Python.
    """
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        raise Unusable("a program isn't Python") from e
    if not body or not isinstance(last := body[-1], ast.Expr) or _prints(last.value):
        return code
    lines = code.encode().splitlines(keepends=True)  # columns are of bytes
    start = sum(map(len, lines[: last.lineno - 1])) + last.col_offset
    end = sum(map(len, lines[: (last.end_lineno or last.lineno) - 1])) + (last.end_col_offset or 0)
    content = b"".join(lines)
    return (content[:start] + b"print(" + content[start:end] + b")" + content[end:]).decode()


def _prints(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "print"
