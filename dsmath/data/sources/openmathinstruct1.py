"""OpenMathInstruct-1: solutions of GSM8K's and MATH's training problems, sampled from Mixtral (1.8 M correct ones).

JSON Lines, correct solutions in files of their own, many to a problem; both parts, train and validation, are of
training problems. `dataset`, gsm8k or math, is the topic. With code between <llm-code> marks a solution becomes a
tool example, without it a chain of thought. Recorded outputs are thrown away, programs run again here. Their
interpreter shows the last expression of a block as a notebook does; here it is printed, and the block is changed to
say so.

A licence of NVIDIA's own, which permits commercial use.
"""

from dsmath.data.source import Draft, Row, Source, Unusable
from dsmath.data.sources import fences
from dsmath.data.sources.layouts import json_lines
from dsmath.records import COT, TOOL
from dsmath.suites.suite import Download

FILES = ("correct_solutions/train.jsonl", "correct_solutions/validation.jsonl")
ADDRESS = "https://huggingface.co/datasets/nvidia/OpenMathInstruct-1/resolve/4627efae6bd2ddcebb8acac00d513ffd8e00775c"


def _cot(row: Row) -> Draft | None:
    solution = row["generated_solution"].strip()
    return None if fences.LLM_CODE.code in solution else _draft(row, (solution,))


def _tool(row: Row) -> Draft | None:
    if fences.LLM_CODE.code not in row["generated_solution"]:
        return None
    return _draft(row, fences.turns(row["generated_solution"], fences.LLM_CODE, fences.printing))


def _draft(row: Row, turns: tuple[str, ...]) -> Draft:
    if not row["is_correct"]:
        raise Unusable("not correct")
    return Draft("en", row["question"].strip(), turns, row["expected_answer"], row["dataset"])


SOURCE = Source(
    name="openmathinstruct1",
    title="OpenMathInstruct-1",
    license="LicenseRef-NVIDIA",
    citation=(
        "Toshniwal et al., OpenMathInstruct-1: A 1.8 Million Math Instruction Tuning Dataset, 2024, arXiv:2402.10176"
    ),
    files=(FILES,),
    downloads=tuple(Download(name, f"{ADDRESS}/{name}", None) for name in FILES),
    fields={"question": str, "expected_answer": str, "generated_solution": str, "is_correct": bool, "dataset": str},
    rows=json_lines,
    drafts={COT: _cot, TOOL: _tool},
)
