"""GSM8K's training rows as examples, with programs that print the answer."""

import collections
import dataclasses
import itertools
import json
from pathlib import Path

import pytest

from dsmath import config
from dsmath.data import gsm8k
from dsmath.data.source import Inputs
from dsmath.error import UserError
from dsmath.records import Source

LIMITS = config.Sandbox(timeout_s=5.0, memory_mb=512, output_kb=16, workers=2, required_level="L1")


def inputs(path: Path) -> Inputs:
    return Inputs("gsm8k", (path,), ("cot", "tool"), 0, 0, LIMITS, path.parent / "stages", {})


def test_examples_are_kept_if_the_program_prints_the_answer_and_drops_are_counted(tmp_path):
    path = tmp_path / "train.jsonl"
    right = {"question": "How much is 12 x 34 - 8?", "answer": "12*34=<<12*34=408>>408 in all.\n#### 408"}
    rows = [
        right,
        right | {"answer": "12*34=<<12*34=409>>409 in all.\n#### 409"},  # a mistake in the annotation
        right | {"answer": "It is plain.\n#### 408"},
        right | {"answer": "10/4=<<10/4=2.5>>2.5 each. So 2.5*2=<<2.5*2=5>>5 in all.\n#### 5"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    drops = collections.Counter()
    examples = list(gsm8k.examples(inputs(path), drops))
    assert [e.id for e in examples] == [
        *(f"gsm8k-train-{i}-cot" for i in range(4)),
        "gsm8k-train-0-tool",
        "gsm8k-train-3-tool",
    ]
    assert drops == {"the program prints another answer": 1, "no annotation": 1}


def test_solutions_end_in_the_boxed_answer_and_tool_output_is_the_tools(tmp_path):
    row = {"question": "Share 10 by 4, twice.", "answer": "10/4=<<10/4=2.5>>2.5, so 2.5*2=$<<2.5*2=5>>5.\n#### 5"}
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(row))
    cot, tool = gsm8k.examples(inputs(path), collections.Counter())
    assert cot.solution[0].text == "10/4=2.5, so 2.5*2=$5.\nThe answer is \\boxed{5}."
    assert [p.source for p in tool.solution] == [
        *(Source.MODEL, Source.MODEL, Source.FRAME, Source.TOOL, Source.FRAME, Source.MODEL)
    ]
    assert tool.solution[3].text == "5.0"
    assert tool.solution[-1].text == "The answer is \\boxed{5}."


def test_a_file_without_rows_is_one_line_that_names_it(tmp_path):
    (tmp_path / "train.jsonl").write_text("\n")
    with pytest.raises(UserError, match=r"no rows in .*train.jsonl.*--data_dir"):
        gsm8k.read(tmp_path / "train.jsonl")


def test_most_published_solutions_give_a_program_that_prints_the_answer(real_data, tmp_path):
    path = tmp_path / "train.jsonl"
    with (real_data / "gsm8k" / "train.jsonl").open() as file:
        path.write_text("".join(itertools.islice(file, 100)))
    drops = collections.Counter()
    kept = list(gsm8k.examples(dataclasses.replace(inputs(path), modes=("tool",)), drops))
    assert len(kept) + drops.total() == 100
    assert len(kept) >= 95


def test_examples_are_the_same_when_the_stage_is_there_already(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"question": "2 x 3?", "answer": "2*3=<<2*3=6>>6.\n#### 6"}) + "\n")
    with path.open("a") as file:
        file.write(json.dumps({"question": "2 x 3?", "answer": "It is plain.\n#### 6"}) + "\n")
    first, second = collections.Counter(), collections.Counter()
    assert list(gsm8k.examples(inputs(path), first)) == list(gsm8k.examples(inputs(path), second))
    assert first == second == {"no annotation": 1}
