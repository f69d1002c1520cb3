"""One response as a page of Markdown: the question, what the model wrote with its programs, and the verdict.

What it was given up for comes first, under a line that says so.
"""

import re

from dsmath.records import FENCE, Answer
from dsmath.score.graded import Graded


def markdown(record: Graded) -> str:
    """Of a trajectory with its grade.

    The response is Markdown already: programs and outputs stand in fences. One that ends inside a fence gets it closed.
    """
    trajectory, verdict = record.trajectory, record.verdict
    problem = trajectory.problem
    head = f"**{problem.id}**, sample {trajectory.sample}, {problem.suite} {trajectory.mode}: *{record.outcome.value}*"
    exits = ", ".join(program.ran.exit.value for program in trajectory.programs) or "none"
    foot = f"Prediction {_code(verdict.prediction)}, answer {_code(verdict.answer)}; reason: {verdict.reason}; "
    foot += f"stop: {trajectory.stop.value}; programs: {exits}"
    given_up = [
        f"Given up (stop: {attempt.stop.value}):\n\n{_closed(attempt.text.strip())}" for attempt in trajectory.attempts
    ]
    answer = [*given_up, *(["Asked again:"] if given_up else []), _closed(trajectory.text.strip())]
    return "\n\n".join([head, _quoted(problem.question), *answer, foot]) + "\n"


def _closed(response: str) -> str:
    """Outside of fences, lines that a page would take for a heading or HTML are shown as they are."""
    lines, inside = [], False
    for line in response.split("\n"):
        if line.startswith(FENCE):
            inside = not inside
        lines.append(line if inside or line.startswith(FENCE) else _plain(line))
    return "\n".join([*lines, FENCE] if inside else lines)


def _plain(line: str) -> str:
    return re.sub(r"^(\s*)#", r"\1\\#", line.replace("<", "&lt;"))


def _quoted(text: str) -> str:
    return "\n".join(f"> {_plain(line)}" for line in text.split("\n"))


def _code(answer: Answer) -> str:
    text = answer if isinstance(answer, str) else ", ".join(answer)
    return f"`{text}`" if text else "none"
