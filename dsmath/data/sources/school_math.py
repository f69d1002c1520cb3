r"""BELLE's school_math_0.25M: a quarter of a million Chinese school problems with solutions, both written by ChatGPT.

JSON Lines: instruction (often with 题目 in front), input (empty throughout), output. Nobody has checked problems or
answers, the card says so, and nothing here does: there is no gold, which the manifest counts. A solution is used if it
ends in a sentence that concludes (所以, 因此, 答) and has one number in it, which gets the box.

GPL-3.0; the card allows research only.
"""

import re

from dsmath.data.source import Draft, Row, Source, Unusable
from dsmath.data.sources.layouts import json_lines
from dsmath.records import COT
from dsmath.suites.suite import Download

CONCLUSION = "答案是\\boxed{{{}}}。"
HEAD = re.compile(r"^\s*(?:数学)?题目?\s*\d{0,3}\s*[:：]\s*")
CONCLUDES = re.compile(r"^(?:所以|因此|综上|故|答)")
NUMBER = re.compile(r"(?<![\d.])-?\d+(?:\.\d+)?(?:/\d+)?%?(?![\d.])")
SENTENCE_END = re.compile(r"[。！？；\n]")


def _cot(row: Row) -> Draft:
    question = HEAD.sub("", "\n".join(filter(None, (row["instruction"].strip(), row["input"].strip()))))
    solution = row["output"].strip()
    last = next((s.strip() for s in reversed(SENTENCE_END.split(solution)) if s.strip()), "")
    numbers = set(NUMBER.findall(last))
    if not question or not CONCLUDES.match(last) or len(numbers) != 1:
        raise Unusable("no conclusion with one number")
    return Draft("zh", question, (f"{solution}\n{CONCLUSION.format(_escaped(*numbers))}",), None)


def _escaped(number: str) -> str:
    return number.replace("%", "\\%")


SOURCE = Source(
    name="school_math",
    title="BELLE school_math_0.25M",
    license="GPL-3.0-only",
    citation="Ji et al., BELLE: Be Everyone's Large Language model Engine, 2023, github.com/LianjiaTech/BELLE",
    files=(("school_math_0.25M.json",),),
    downloads=(
        Download(
            "school_math_0.25M.json",
            "https://huggingface.co/datasets/BelleGroup/school_math_0.25M/resolve/"
            "98c084d6c7205170e0ee236b1a5eba24d0d6448b/school_math_0.25M.json",
            None,
        ),
    ),
    fields={"instruction": str, "input": str, "output": str},
    rows=json_lines,
    drafts={COT: _cot},
)
