"""Ape210K: Chinese school problems with an equation and an answer each; solutions are made of the equations.

The published parts are JSON Lines: train.ape.json (200,288), valid.ape.json and test.ape.json (5,000 each). The first
is read where it is there, and else the other two: then Ape210K's test part is no benchmark. Topics are found by the
words of questions (dsmath/data/from_equations/topics.py). ? The repository's README names data/train.ape.json; that
it lies at the commit of the two others couldn't be looked up.
"""

from dsmath.data.from_equations import equations, topics
from dsmath.data.source import Draft, Row, Source
from dsmath.data.sources.layouts import json_lines
from dsmath.records import COT, POT, TOOL
from dsmath.suites.suite import Download, github
from dsmath.text.template import program

LANG = "zh"


def _draft(row: Row, mode: str) -> Draft:
    question = row["original_text"]
    worked = equations.worked(question, row["equation"], row["ans"])
    turns = {
        COT: (worked.cot,),
        TOOL: (f"{worked.plan}\n{program(worked.program)}", worked.conclusion),
        POT: (program(worked.program),),
    }[mode]
    return Draft(LANG, question, turns, worked.answer, topics.topic(question, LANG))


SOURCE = Source(
    name="ape210k",
    title="Ape210K",
    license="MIT",
    citation=(
        "Zhao et al., Ape210K: A Large-Scale and Template-Rich Dataset of Math Word Problems, 2020, arXiv:2009.11506"
    ),
    files=(("train.ape.json",), ("valid.ape.json", "test.ape.json")),
    downloads=(
        Download(
            "train.ape.json",
            github("Chenny0808/ape210k/76488699adeda22e7257a15b065e8a384bb577ed/data/train.ape.json"),
            None,
        ),
    ),
    fields={"original_text": str, "equation": str, "ans": str, "id": str},
    rows=json_lines,
    drafts={
        COT: lambda row: _draft(row, COT),
        TOOL: lambda row: _draft(row, TOOL),
        POT: lambda row: _draft(row, POT),
    },
)
