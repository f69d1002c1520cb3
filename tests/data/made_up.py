"""Examples of uneven length, and what turns them into tokens."""

from dsmath.data.feed.tokenise import Tokenise
from dsmath.records import Example, Piece, Source
from dsmath.text import template
from dsmath.text.tokenizer import Tokenizer

REFERENCE = template.TEMPLATES["reference"]


def cot(i: int) -> Example:
    """An example in prose, of one to three sentences."""
    text = " ".join([f"Double {i} is {2 * i}."] * (1 + i % 3))
    return Example(f"cot-{i}", "own", "en", "cot", f"Double {i}?", (Piece(Source.MODEL, text),), str(2 * i))


def tool(i: int) -> Example:
    """An example with a program."""
    solution = template.with_program("Let us run it.", f"print(2 * {i})", str(2 * i), f"So it is {2 * i}.")
    return Example(f"tool-{i}", "own", "en", "tool", f"Double {i}?", solution, str(2 * i))


EXAMPLES = [cot(i) for i in range(10, 30)] + [tool(i) for i in range(30, 40)]


def make(tok: Tokenizer, *, tools: bool = False) -> Tokenise:
    """In the reference template."""
    return Tokenise(tok, REFERENCE, loss_on_tool_output=tools)
