r"""Gold answers, as the solutions of sources give them: in a box, or behind "The answer is"."""

import re

from dsmath.data.source import Unusable
from dsmath.score.strict import extraction

SAID = re.compile(r"\bThe answer is:?(?=\s|\$|\\)", re.IGNORECASE)
LONGEST = 200  # characters of what may be an answer
CONCLUSION = "The answer is \\boxed{{{}}}."


def boxed(question: str, solution: str) -> str:
    """The answer in a solution's last box, or in all of them where the question asks for several.

    Raises Unusable if there is no box.
    """
    if not any(box.strip() for box in extraction.boxed(solution)):
        raise Unusable("no box")
    found = extraction.extract("", question, solution)
    return found if isinstance(found, str) else ", ".join(found)


def said(solution: str) -> tuple[str, str]:
    r"""A solution whose answer is boxed, and the answer, which stands behind its last "The answer is".

    Where the solution has a box of its own, that one stays, and is what the answer can be held against; else the answer
    gets one. Raises Unusable if no answer is said, or one that has no place in a box.
    """
    phrases = list(SAID.finditer(solution))
    if not phrases:
        raise Unusable("no answer is said")
    last = phrases[-1]
    before, answer = solution[: last.start()].rstrip(), solution[last.end() :].strip().rstrip(".").strip()
    if answer.startswith("$") and answer.endswith("$") and answer.count("$") == 2:
        answer = answer[1:-1].strip()
    if not answer or len(answer) > LONGEST or "\n" in answer or "$" in answer or not _balanced(answer):
        raise Unusable("what is said is no answer")
    own = any(box.strip() for box in extraction.boxed(before))
    return (before if own else f"{before}\n{CONCLUSION.format(answer)}".lstrip()), answer


def _balanced(text: str) -> bool:
    """Whether braces are closed in their order, so that a box around the text ends where it does."""
    depth = 0
    for brace in re.findall(r"\\.|[{}]", text):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            return False
    return depth == 0
