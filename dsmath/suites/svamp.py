"""SVAMP: variations of simple word problems. The gold answer is the number, without `.0`.

Questions are put together as in ToRA's evaluation (https://github.com/microsoft/ToRA, src/utils/parser.py).
"""

from dsmath.suites.published import Row, text
from dsmath.suites.suite import Download, Layout, Suite, github, number


def _question(row: Row) -> str:
    body = row["Body"].strip()
    return f"{body}{'' if body.endswith('.') else '.'} {row['Question'].strip()}"


SUITE = Suite(
    name="svamp",
    title="SVAMP",
    langs=("en",),
    citation="Patel et al., Are NLP Models really able to Solve Simple Math Word Problems?, 2021, arXiv:2103.07191",
    size=1000,
    layout=Layout(
        files=(("test.jsonl",), ("SVAMP.json",)),
        downloads=(
            Download(
                "SVAMP.json",
                github("arkilpatel/SVAMP/78e727689e1c1bebfc4be39c446898e8e10b0518/SVAMP.json"),
                "5be77703a6d891ae476d7c082787ad361392aa02453b132516cdd5f4e7934e3e",
            ),
        ),
        question=_question,
        gold=lambda row: number(row["Answer"]),
        meta=lambda row: {"type": row["Type"], "equation": row["Equation"]},
        place=lambda row: text(row["ID"]),
    ),
)
