"""MathInstruct: problems of 13 sets, with chains of thought and programs (262,039 rows, one JSON list).

`source` names the file that a row came from: data/CoT/... has prose that ends in "The answer is X", data/PoT/... a bare
program that prints. The topic of an example is that file's name, so that what is of another set's training problems can
be told: gsm_train, gsm_rft and gsm_gpt4 are GSM8K's, MATH_train is MATH's. What those sources give already is found by
questions that are alike, and what is near a benchmark by its words.

There is no gold. A program's answer is what it prints, counted as `no_gold`; a chain of thought's is what it says,
against which its box is held where it has one. math50k_camel says no answers, mostly, and is unvalidated: it drops out.

The instruction to write a program is cut off the question, since the template gives its own. ? The five forms are those
that others have found in the data; there may be more, and they would stay. ? number_comparison has no licence in the
card's table; NOASSERTION is SPDX's word for that, and for GSM8K-RFT, of which the card says that none is listed.
"""

import re
from pathlib import PurePosixPath

from dsmath.data.source import Draft, Row, Source, Unusable
from dsmath.data.sources import golds
from dsmath.data.sources.layouts import json_list
from dsmath.records import COT, FENCE, POT
from dsmath.suites.suite import Download
from dsmath.text.template import program

UNKNOWN = "NOASSERTION"
LICENSES = {  # by the card's table
    "gsm_train": "MIT",
    "gsm_gpt4": "MIT",
    "gsm_rft": UNKNOWN,
    "aqua_rat": "Apache-2.0",
    "aqua_rat_filtered": "Apache-2.0",
    "MATH_train": "MIT",
    "TheoremQA": "MIT",
    "math50k_camel": "CC-BY-NC-4.0",
    "college_math": "MIT",
    "mathqa": "Apache-2.0",
    "numglue": "Apache-2.0",
}
ASKS = re.compile(
    r"\s*(?:Let's write a (?:Python )?program(?: to solve it)?|Let's program in Python in the response"
    r"|Please write a program to solve it)[.!]?\s*$",
    re.IGNORECASE,
)


def _subset(row: Row, kind: str) -> str | None:
    """The name of the file that a row came from; None if it is of another kind."""
    path = PurePosixPath(row["source"])
    if path.parent.name not in ("CoT", "PoT"):
        raise Unusable("neither CoT nor PoT")
    return path.stem if path.parent.name == kind else None


def _cot(row: Row) -> Draft | None:
    if (subset := _subset(row, "CoT")) is None:
        return None
    solution, gold = golds.said(row["output"].strip())
    question = row["instruction"].strip()
    return Draft("en", question, (solution,), gold, subset, LICENSES.get(subset, UNKNOWN))


def _pot(row: Row) -> Draft | None:
    if (subset := _subset(row, "PoT")) is None:
        return None
    code, question = row["output"].strip("\n").rstrip(), ASKS.sub("", row["instruction"].strip())
    if FENCE in code:
        raise Unusable("a fence in a program")
    if not code.strip():
        raise Unusable("an empty program")
    return Draft("en", question, (program(code),), None, subset, LICENSES.get(subset, UNKNOWN))


SOURCE = Source(
    name="mathinstruct",
    title="MathInstruct",
    license="MIT",
    citation=(
        "Yue et al., MAmmoTH: Building Math Generalist Models through Hybrid Instruction Tuning, 2023, arXiv:2309.05653"
    ),
    files=(("MathInstruct.json",),),
    downloads=(
        Download(
            "MathInstruct.json",
            "https://huggingface.co/datasets/TIGER-Lab/MathInstruct/resolve/"
            "b4fdc323a7be1379c9c7c0b67b1de72dfee2111a/MathInstruct.json",
            None,
        ),
    ),
    fields={"instruction": str, "source": str, "output": str},
    rows=json_list,
    drafts={COT: _cot, POT: _pot},
)
