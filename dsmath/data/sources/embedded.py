"""Generated word problems, English and Chinese: dsmath/suites/embedded makes them, apart from those of its test set."""

import dataclasses

from dsmath.data.source import Draft, Generated, Row, Rows, Source
from dsmath.records import COT, TOOL
from dsmath.suites.embedded import generate as problems
from dsmath.text.template import program


def _rows(asked: Generated) -> Rows:
    for lang in problems.LANGUAGES:
        for problem in problems.generate("train", lang, asked.problems, asked.seed):
            yield problem.id.removeprefix("embedded-"), dataclasses.asdict(problem)


def _draft(row: Row, *turns: str) -> Draft:
    return Draft(row["lang"], row["question"], turns, row["answer"], topic=row["topic"])


SOURCE = Source(
    name="embedded",
    title="Embedded",
    license="Apache-2.0",
    citation=problems.SUITE.citation,
    files=(),
    downloads=(),
    fields={
        "lang": str,
        "question": str,
        "answer": str,
        "cot": str,
        "plan": str,
        "program": str,
        "conclusion": str,
        "topic": str,
    },
    rows=lambda files: iter(()),
    drafts={
        COT: lambda row: _draft(row, row["cot"]),
        TOOL: lambda row: _draft(row, f"{row['plan']}\n{program(row['program'])}", row["conclusion"]),
    },
    generate=_rows,
)
