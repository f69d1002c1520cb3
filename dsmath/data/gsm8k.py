"""GSM8K's training set: chain of thought as published, and programs made of its calculator annotations.

A program is kept only if, run in the sandbox, it prints the answer.
"""

import collections
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsmath.data import annotations, verify
from dsmath.data.annotations import Unusable
from dsmath.data.source import Inputs, Source
from dsmath.error import UserError
from dsmath.records import COT, TOOL, Example, Piece
from dsmath.records import Source as Writer
from dsmath.suites import gsm8k, published
from dsmath.text.template import with_program

CONCLUSION = "The answer is \\boxed{{{}}}."
PLAN = "Let's compute it step by step."


@dataclasses.dataclass(frozen=True)
class Row:
    """A question, its solution as published, and the answer."""

    id: str
    question: str
    solution: str
    gold: str


def read(path: Path) -> list[Row]:
    """The rows of a file. Raises UserError if it holds none."""

    def row(line: int, fields: dict[str, Any]) -> Row:
        question, solution = published.text(fields["question"]), published.text(fields["answer"])
        return Row(f"gsm8k-train-{line - 1}", question, solution, gsm8k.gold(fields))

    rows = list(published.rows(path, row))
    if not rows:
        raise UserError(f"no rows in {path}; expected JSON Lines of GSM8K; choose another --data_dir")
    return rows


def cot(solution: str, gold: str) -> str:
    """A solution without its annotations, ending in the boxed answer."""
    return f"{annotations.without(solution)}\n{CONCLUSION.format(gold)}"


def examples(inputs: Inputs, drops: collections.Counter[str]) -> Iterator[Example]:
    """The examples in the wanted modes, "cot" before "tool", each in the order of the rows.

    `drops` counts the examples that a row did not give, by reason.
    """
    rows = read(inputs.files[0])
    if COT in inputs.modes:
        for row in rows:
            written = (Piece(Writer.MODEL, cot(row.solution, row.gold)),)
            yield Example(f"{row.id}-cot", "gsm8k", "en", COT, row.question, written, row.gold)
    if TOOL in inputs.modes:
        by_id = {row.id: row for row in rows}
        for ran in verify.verified(_candidates(rows, drops), inputs, drops):
            row = by_id[ran.id]
            solution = with_program(PLAN, ran.code, ran.stdout, CONCLUSION.format(row.gold))
            yield Example(f"{row.id}-tool", "gsm8k", "en", TOOL, row.question, solution, row.gold)


def _candidates(rows: list[Row], drops: collections.Counter[str]) -> Iterator[verify.Candidate]:
    for row in rows:
        try:
            yield verify.Candidate(row.id, annotations.program(row.question, row.solution, row.gold), row.gold)
        except Unusable as e:
            drops[str(e)] += 1


SOURCE = Source("gsm8k", files=("gsm8k/train.jsonl",), examples=examples)
