"""What of a response is graded: the model's words, and what programs printed as no more than output.

The reference protocol reads answers out of the whole text, programs' output included; there a program that prints
`\\boxed{42}` answers in place of the model. Here it can't: only the rule that reads the last output block sees what was
printed.
"""

import re
from typing import Any

_ZERO_WIDTH_SPACE = "\u200b"
_MARKS = re.compile(r"(?<=`)(?=`)|(?<=box)(?=ed)|(?<=answer)(?= is)")  # fences, \boxed, "the answer is"
_FENCED = "\n```output\n{}\n```\n"


def graded(trajectory: dict[str, Any]) -> str:
    """The text of a journal's record that a grader reads.

    In mode "pot" that is the output of the program alone. Records without `tool_spans` are graded as they are.
    """
    response = trajectory["response"]
    spans = trajectory.get("tool_spans", [])
    if trajectory["mode"] == "pot":
        return "".join(_FENCED.format(inert(response[start:end])) for start, end in spans)
    pieces, at = [], 0
    for start, end in spans:
        pieces += [response[at:start], inert(response[start:end])]
        at = end
    return "".join([*pieces, response[at:]])


def inert(output: str) -> str:
    """A program's output in which nothing marks an answer or ends the block; it looks the same."""
    return _MARKS.sub(_ZERO_WIDTH_SPACE, output)
