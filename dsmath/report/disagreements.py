"""What graders make of the same responses, as sheets."""

from collections.abc import Sequence
from typing import Any

from dsmath import journal
from dsmath.report import details
from dsmath.report.sheet import Sheet
from dsmath.score.counts import agreement

SHOWN_CHARACTERS = 60  # of an answer in an example


def sheets_of_runs(summaries: Sequence[dict[str, Any]]) -> list[Sheet]:
    """Of each run that all graders have scored."""
    found = []
    for summary in summaries:
        if "graders" in summary:
            suite, mode, step = details.run_cells(summary)
            found += sheets(list(journal.read(summary["evaluation"].graders)), f"{suite} {mode} at {step}")
    return found


def sheets(lines: Sequence[agreement.Line], title: str) -> list[Sheet]:
    """How often two graders differ; and every kind of disagreement, with examples, if there is any."""
    counts = [
        (a, b, str(len(lines) - test.only_a - test.only_b), str(test.only_a), str(test.only_b))
        for (a, b), test in agreement.pairs(lines).items()
    ]
    header = ("a", "b", "agree", "only a accepts", "only b accepts")
    found = [Sheet(f"{title}: graders two by two", header, counts)]
    if kinds := agreement.disagreements(lines):
        names = tuple(kinds[0].verdicts)
        rows = [
            (
                *(_verdict(*kind.verdicts[name]) for name in names),
                str(kind.count),
                "\n".join(map(_example, kind.examples)),
            )
            for kind in kinds
        ]
        note = "By the reason of each verdict. Examples: problem: prediction | answer."
        found.append(Sheet(f"{title}: where graders disagree", (*names, "n", "Examples"), rows, note))
    return found


def _verdict(correct: bool, reason: str) -> str:
    return f"{'right' if correct else 'wrong'}: {reason}"


def _example(line: agreement.Line) -> str:
    read: dict[str, list[str]] = {}  # what was compared, and by which graders
    for name, verdict in line["verdicts"].items():
        read.setdefault(f"{_short(verdict['prediction'])} | {_short(verdict['answer'])}", []).append(name)
    if len(read) == 1:
        return f"{line['id']}: {next(iter(read))}"
    return f"{line['id']}: " + "; ".join(f"{', '.join(names)} {text}" for text, names in read.items())


def _short(answer: str | list[str]) -> str:
    text = answer if isinstance(answer, str) else ", ".join(answer)
    text = " ".join(text.split()) or "(none)"
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."
