"""Examples come from a user's folder, stand where a record says, and are told apart by what they say."""

import pytest

from dsmath.error import UserError
from dsmath.systems import fewshot, roster
from dsmath.text.template import EXAMPLES, written

QWEN, BASE = roster.find("qwen-72b"), roster.find("deepseek-math-7b-base")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "gsm8k-cot.txt").write_text("\nQuestion: Why?\nBecause.\n\n", encoding="utf-8")
    (tmp_path / "cot.txt").write_text("Question: 几个？\n三个。\n", encoding="utf-8")
    return tmp_path


def prompt(way) -> str:
    return written(way.template.prompt("Q", lang="en", mode="cot"))


def test_a_suites_own_file_comes_before_that_of_the_mode(folder):
    ways = fewshot.ways(QWEN, folder)
    assert prompt(ways("gsm8k", "cot")) == "Question: Why?\nBecause.\n\nQuestion: Q\nLet's think step by step\n"
    assert prompt(ways("cmath", "cot")).startswith("Question: 几个？\n三个。\n\nQuestion: Q\n")


def test_the_name_of_a_template_says_which_examples_it_has(folder):
    ways = fewshot.ways(QWEN, folder)
    first = ways("gsm8k", "cot").template.name
    assert first.startswith("qwen-72b with examples ")
    assert ways("gsm8k", "cot").template.name == first
    assert ways("cmath", "cot").template.name != first
    (folder / "gsm8k-cot.txt").write_text("Question: Why?\nBecause.", encoding="utf-8")
    assert ways("gsm8k", "cot").template.name == first, "white space around them is none of it"
    (folder / "gsm8k-cot.txt").write_text("Question: Why?\nNo.", encoding="utf-8")
    assert ways("gsm8k", "cot").template.name != first


def test_layouts_of_suites_take_the_examples_of_theirs(folder):
    (folder / "math-cot.txt").write_text("Problem:\nWhy?\n\nSolution:\nSo.", encoding="utf-8")
    ways = fewshot.ways(BASE, folder)
    assert prompt(ways("math", "cot")) == "Problem:\nWhy?\n\nSolution:\nSo.\n\nProblem:\nQ\n\nSolution:"
    assert prompt(ways("cmath", "cot")).endswith("\n\n\n问题：Q\n答案：")


def test_a_system_that_takes_none_is_asked_as_it_is():
    system = roster.find("tora-code-34b")
    assert fewshot.ways(system, None)("math", "tool") is system.way("math", "tool")


def test_which_systems_take_some():
    taking = {name for name, s in roster.SYSTEMS.items() if any(map(fewshot.takes, s.ways.values()))}
    assert taking == {"deepseek-math-7b-base", "qwen-72b"}
    assert all(EXAMPLES not in way.otherwise.system for s in roster.SYSTEMS.values()
               for way in s.ways.values() if way.otherwise)  # fmt: skip


def test_what_is_wrong_with_examples_is_one_line(folder, tmp_path):
    with pytest.raises(
        UserError, match=r"^qwen-72b is asked gsm8k behind examples; expected --examples FOLDER with gsm"
    ):
        fewshot.ways(QWEN, None)("gsm8k", "cot")
    with pytest.raises(UserError, match=r"no gsm8k-pot\.txt and no pot\.txt in"):
        fewshot.ways(BASE, folder)("gsm8k", "pot")
    with pytest.raises(UserError, match="nowhere, which is no folder"):
        fewshot.ways(QWEN, tmp_path / "nowhere")
    with pytest.raises(UserError, match="tora-code-34b is asked without examples; leave it out"):
        fewshot.ways(roster.find("tora-code-34b"), folder)
    (folder / "cot.txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(UserError, match=r"cot\.txt is empty"):
        fewshot.ways(QWEN, folder)("math", "cot")
    (folder / "cot.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"cot\.txt is no UTF-8 text"):
        fewshot.ways(QWEN, folder)("math", "cot")
