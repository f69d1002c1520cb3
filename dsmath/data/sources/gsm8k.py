"""GSM8K's training set: chain of thought as published, and programs made of its calculator annotations."""

from dsmath.data.from_annotations import annotations
from dsmath.data.source import Draft, Row, Source, Unusable
from dsmath.data.sources.layouts import json_lines
from dsmath.records import COT, TOOL
from dsmath.suites import gsm8k as benchmark
from dsmath.suites.suite import Download, github
from dsmath.text.template import program

CONCLUSION = "The answer is \\boxed{{{}}}."
PLAN = "Let's compute it step by step."


def _gold(row: Row) -> str:
    try:
        return benchmark.gold(row)
    except ValueError as e:
        raise Unusable("no ####") from e


def _cot(row: Row) -> Draft:
    gold = _gold(row)
    return Draft("en", row["question"], (f"{annotations.without(row['answer'])}\n{CONCLUSION.format(gold)}",), gold)


def _tool(row: Row) -> Draft:
    gold = _gold(row)
    code = annotations.program(row["question"], row["answer"], gold)
    return Draft("en", row["question"], (f"{PLAN}\n{program(code)}", CONCLUSION.format(gold)), gold)


SOURCE = Source(
    name="gsm8k",
    title="GSM8K",
    license="MIT",
    citation=benchmark.SUITE.citation,
    files=(("train.jsonl",),),
    downloads=(
        Download(
            "train.jsonl",
            github(
                "openai/grade-school-math/3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data/train.jsonl"
            ),
            "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465",
        ),
    ),
    fields={"question": str, "answer": str},
    rows=json_lines,
    drafts={COT: _cot, TOOL: _tool},
)
