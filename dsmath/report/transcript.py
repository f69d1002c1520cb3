"""One response as a page of Markdown: the question, what the model wrote with its programs, and the verdict."""

import re
from typing import Any

FENCE = "```"


def markdown(record: dict[str, Any]) -> str:
    """Of a trajectory with its score (dsmath/score/scoring.py, `read_scored`).

    The response is Markdown already: programs and outputs stand in fences. One that ends inside a fence gets it closed.
    """
    head = f"**{record['id']}**, sample {record['sample']}, {record['suite']} {record['mode']}: *{record['outcome']}*"
    verdict = (
        f"Prediction {_code(record['prediction'])}, answer {_code(record['answer'])}; reason: {record['reason']}; "
    )
    verdict += f"stop: {record['stop']}; programs: {', '.join(p['exit'] for p in record['programs']) or 'none'}"
    return f"{head}\n\n{_quoted(record['question'])}\n\n{_closed(record['response'].strip())}\n\n{verdict}\n"


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


def _code(answer: str | list[str]) -> str:
    text = answer if isinstance(answer, str) else ", ".join(answer)
    return f"`{text}`" if text else "none"
