"""Whole conversations with programs: what the model writes is scripted, its programs run in a real sandbox."""

import dataclasses
import itertools

import pytest

from dsmath.records import Exit, Ran, Source, Stop
from dsmath.rollout.ways import Way
from dsmath.systems import roster
from dsmath.text.template import written
from tests.rollout.scripted import CODEC, Says, run_way

CALL = Stop.TEXT


def way(name: str, mode: str = "tool", suite: str = "math") -> Way:
    return roster.find(name).way(suite, mode)


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


def calls(code: str, *, prose: str = "") -> Says:
    """A turn that asks for the output of a program."""
    return Says(f"{prose}{fenced(code)}\n", CALL)


def texts(record, source: Source) -> list[str]:
    return [piece.text for piece in record.response if piece.source is source]


def ran(exit: Exit = Exit.OK, stdout: str = "", stderr: str = "") -> Ran:
    return Ran(exit, stdout, stderr, 0.0, 0.0, 0, False)


def shown(name: str, result: Ran) -> str:
    return way(name).protocol.shown(result, None)


def test_deepseek_two_turns_to_the_byte(sandbox):
    said = [calls("print(6 * 7)", prose=" By hand it is long.\n"), Says("So it is $\\boxed{42}$.", Stop.END)]
    record, _ = run_way(way("deepseek-llm-67b-chat"), "tool", {"p": said}, sandbox)
    assert record.prompt.text + record.text == (
        "User: What is 6 * 7?\n"
        "Please integrate natural language reasoning with programs to solve the problem above, "
        "and put your final answer within \\boxed{}.\n"
        "\n"
        "Assistant: By hand it is long.\n"
        "```python\n"
        "print(6 * 7)\n"
        "```\n"
        "```output\n"
        "42\n"
        "```\n"
        "So it is $\\boxed{42}$."
    )


def test_tora_two_turns_to_the_byte(sandbox):
    said = [calls("print(6 * 7)"), Says("It is $\\boxed{42}$.", Stop.END)]
    record, _ = run_way(way("tora-code-34b"), "tool", {"p": said}, sandbox)
    assert record.prompt.text + record.text == (
        "<|user|>\n"
        "What is 6 * 7?\n"
        "<|assistant|>\n"
        "```python\n"
        "print(6 * 7)\n"
        "```\n"
        "```output\n"
        "42\n"
        "```\n"
        "It is $\\boxed{42}$."
    )


def test_tora_runs_four_programs_at_most_each_alone(sandbox):
    codes = ["x = 1\nprint(x)", "print(x)", "print(2)", "print(3)"]
    said = [calls(code) for code in codes]
    record, generator = run_way(way("tora-code-34b"), "tool", {"p": said}, sandbox)
    assert [program.shown for program in record.programs] == ["1", "NameError: name 'x' is not defined", "2", "3"]
    assert len(generator.requests) == 4
    assert record.text.endswith("```\n```output\n3\n```\n")


def test_tora_is_done_with_a_box_whatever_it_ends_with(sandbox):
    record, _ = run_way(
        way("tora-code-34b"), "tool", {"p": [Says(f"\\boxed{{42}} {fenced('print(1)')}", CALL)]}, sandbox
    )
    assert record.programs == ()


def test_numinamath_two_turns_to_the_byte(sandbox):
    said = [calls("sp.Integer(6) * 7", prose="1. We compute.\n"), Says("\nIt is \\boxed{42}.", Stop.END)]
    record, _ = run_way(way("numinamath-7b-tir"), "tool", {"p": said}, sandbox)
    assert record.prompt.text + record.text == (
        "### Problem: What is 6 * 7?\n"
        "### Solution: 1. We compute.\n"
        "```python\n"
        "sp.Integer(6) * 7\n"
        "```\n"
        "```output\n"
        "42\n"
        "```\n"
        "It is \\boxed{42}."
    )
    assert record.programs[0].code == (
        "import math\nimport numpy as np\nimport sympy as sp\n\nprint(sp.Integer(6) * 7)"
    )


def test_numinamaths_output_is_cut_at_200(sandbox):
    said = [calls(f"print({n} * chr(97))") for n in (200, 201)] + [Says("\\boxed{1}", Stop.END)]
    record, _ = run_way(way("numinamath-7b-tir"), "tool", {"p": said}, sandbox)
    assert texts(record, Source.TOOL) == ["a" * 200, "a" * 200 + " ... (output truncated)"]


def test_numinamath_runs_its_last_program_again_and_stops_without_any(sandbox):
    said = [calls("print(1)"), Says("Again:\n", CALL), Says("\\boxed{1}", Stop.END)]
    record, _ = run_way(way("numinamath-7b-tir"), "tool", {"p": said}, sandbox)
    assert [program.shown for program in record.programs] == ["1", "1"]
    record, _ = run_way(way("numinamath-7b-tir"), "tool", {"p": [Says("No program.\n", CALL)]}, sandbox)
    assert record.programs == ()


def test_numinamath_sees_where_its_own_program_failed(sandbox):
    code = "import statistics\ndef f():\n    return statistics.mean([])\nprint(f())"
    record, _ = run_way(way("numinamath-7b-tir"), "tool", {"p": [calls(code), Says("Oh", Stop.END)]}, sandbox)
    (program,) = record.programs
    lines = program.shown.split("\n")
    assert lines[:3] == [
        "Traceback (most recent call last):",
        '  File "<string>", line 8, in <module>',
        '  File "<string>", line 7, in f',
    ]
    assert lines[3].startswith("statistics.StatisticsError: ")
    assert len(lines) == 4
    assert shown("numinamath-7b-tir", ran(Exit.TIMEOUT)) == "Timed out after 5 seconds."


INTERNLM2_PROMPT = (
    "<|im_start|>system name=<|interpreter|>\n"
    "Integrate step-by-step reasoning and Python code to solve math problems using the following guidelines:\n"
    "- Analyze the question and write jupyter code to solve the problem;\n"
    "- Present the final result in LaTeX using a '\\boxed{}' without any units. \n"
    "<|im_end|>\n"
    "<|im_start|>user\n"
    "What is 6 * 7?<|im_end|>\n"
    "<|im_start|>assistant\n"
)


def test_internlm2_keeps_a_notebook_over_its_turns_to_the_byte(sandbox, codec):
    said = [
        calls("x = 6\nprint(x)\nx * 7", prose="Let x be 6.\n"),
        calls("y = x + 1\nz", prose="Once more.\n"),
        calls("y"),
        Says("It is \\boxed{42}.", Stop.END),
    ]
    record, generator = run_way(way("internlm2-math-20b"), "tool", {"p": said}, sandbox, codec=codec)
    assert record.prompt.text + record.text == (
        f"{INTERNLM2_PROMPT}Let x be 6.\n"
        "```python\n"
        "x = 6\n"
        "print(x)\n"
        "x * 7\n"
        "```<|action_end|>\n"
        "<|im_end|>\n"
        "<|im_start|>environment name=<|interpreter|>\n"
        "6\n"
        "42<|im_end|>\n"
        "<|im_start|>assistant\n"
        "Once more.\n"
        "```python\n"
        "y = x + 1\n"
        "z\n"
        "```<|action_end|>\n"
        "<|im_end|>\n"
        "<|im_start|>environment name=<|interpreter|>\n"
        "Traceback (most recent call last):\n"
        '  File "<string>", line 2, in <module>\n'
        "NameError: name 'z' is not defined<|im_end|>\n"
        "<|im_start|>assistant\n"
        "```python\n"
        "y\n"
        "```<|action_end|>\n"
        "<|im_end|>\n"
        "<|im_start|>environment name=<|interpreter|>\n"
        "7<|im_end|>\n"
        "<|im_start|>assistant\n"
        "It is \\boxed{42}."
    )
    asked = [written(request.stop) for request in generator.requests]
    assert asked == ["<|action_end|>"] * 4
    assert [piece.source for piece in record.response if piece.text == "<|action_end|>"] == [Source.MODEL] * 3


def test_internlm2_has_five_turns_and_ends_one_that_calls_nothing(sandbox, codec):
    said = [calls(str(n)) for n in range(5)]
    record, generator = run_way(way("internlm2-math-20b"), "tool", {"p": said}, sandbox, codec=codec)
    assert ([p.shown for p in record.programs], len(generator.requests)) == (["0", "1", "2", "3", "4"], 5)
    record, _ = run_way(way("internlm2-math-20b"), "tool", {"p": [Says("It is 42.", CALL)]}, sandbox, codec=codec)
    assert (record.text, record.programs) == ("It is 42.", ())


def test_what_internlm2_and_chatglm3_see_of_a_run():
    failed = ran(
        Exit.ERROR, "7\n", 'Warning\nTraceback (most recent call last):\n  File "<string>", line 1\nKeyError: 1\n'
    )
    traceback = 'Traceback (most recent call last):\n  File "<string>", line 1\nKeyError: 1'
    assert shown("internlm2-math-20b", failed) == f"7\n{traceback}"
    assert shown("chatglm3-6b", failed) == traceback
    assert shown("internlm2-math-20b", ran(Exit.TIMEOUT, "7\n")) == "The code interpreter encountered a timeout error."
    assert shown("chatglm3-6b", ran(Exit.TIMEOUT, "7\n")) == "Timed out"
    assert shown("internlm2-math-20b", ran(stdout="x" * 3000)) == "x" * 3000
    assert shown("chatglm3-6b", ran(stdout="x" * 1025)) == "x" * 1024 + " [TRUNCATED]"
    assert shown("chatglm3-6b", ran(stdout="x" * 1024)) == "x" * 1024
    assert [shown(name, ran()) for name in ("internlm2-math-20b", "chatglm3-6b")] == ["", ""]
    assert shown("chatglm3-6b", ran(Exit.MEMORY)) == shown("internlm2-math-20b", ran(Exit.MEMORY)) == "MemoryError"


def test_a_program_that_prints_nothing_leaves_an_empty_turn_of_the_interpreter(sandbox, codec):
    said = [calls("x = 1"), Says("\\boxed{1}", Stop.END)]
    record, _ = run_way(way("internlm2-math-20b"), "tool", {"p": said}, sandbox, codec=codec)
    assert "<|im_start|>environment name=<|interpreter|>\n<|im_end|>\n" in record.text


def test_chatglm3_observes_to_the_byte(sandbox, codec):
    said = [
        calls("x = 6\nx * 7", prose="interpreter\n"),
        calls("x + 1", prose="interpreter\n"),
        Says("\n It is 42.", Stop.END),
    ]
    record, generator = run_way(way("chatglm3-6b"), "tool", {"p": said}, sandbox, codec=codec)
    assert record.prompt.text + record.text == (
        "[gMASK]sop<|system|>\n"
        "你是一位智能AI助手，你叫ChatGLM，你连接着一台电脑，但请注意不能联网。"
        "在使用Python解决任务时，你可以运行代码并得到结果，如果运行结果有错误，你需要尽可能对代码进行改进。"
        "你可以处理用户上传到电脑上的文件，文件默认存储路径是/mnt/data/。<|user|>\n"
        "What is 6 * 7?\n"
        "Please reason step by step, and put your final answer within \\boxed{}.<|assistant|>interpreter\n"
        "```python\n"
        "x = 6\n"
        "x * 7\n"
        "```<|observation|>\n"
        "42<|assistant|>interpreter\n"
        "```python\n"
        "x + 1\n"
        "```<|observation|>\n"
        "7<|assistant|>\n"
        " It is 42."
    )
    assert generator.requests[0].ends == way("chatglm3-6b").template.ends


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        (
            "internlm2-math-20b",
            [
                *("<|action_end|>", "\n", "<|im_end|>", "\n", "<|im_start|>", "environment name=", "<|interpreter|>"),
                *("\n", "12", "<|im_end|>", "\n", "<|im_start|>", "assistant\n"),
            ],
        ),
        ("chatglm3-6b", ["<|observation|>", "\n", "12", "<|assistant|>"]),
        ("tora-code-34b", ["\n```output", "\n", "12", "\n```\n"]),
        ("numinamath-7b-tir", ["\n```output", "\n", "12", "\n```"]),
    ],
)
def test_the_tokens_of_a_frame_are_those_of_its_names_and_of_its_texts_apart(name, frame, codec):
    names = {piece for piece in frame if piece.startswith("<|")}
    assert bool(names) == ("|" in "".join(frame))
    wanted = [
        *itertools.chain.from_iterable(
            (codec.tokenizer.special(part),) if part in names else codec.tokenizer.encode(part) for part in frame
        )
    ]
    shown = way(name).template.output("12", asked=True)
    pieces = [codec.encode(source, parts) for source, parts in shown]
    assert [id for piece in pieces for id in piece.ids] == wanted


def test_what_a_program_prints_becomes_no_special_token(sandbox, codec):
    said = [calls('print(chr(60) + "|observation|" + chr(62))'), Says("No.", Stop.END)]
    record, _ = run_way(way("chatglm3-6b"), "tool", {"p": said}, sandbox, codec=codec)
    assert texts(record, Source.TOOL) == ["<|observation|>"]
    ids = [id for piece in record.response for id in piece.ids]
    assert ids.count(codec.tokenizer.special("<|observation|>")) == 1, "the model's own"


FALLS_BACK = {
    "a program that fails": "print(1 / 0)",
    "a text that prints nothing": "It is 42.",
    "a program that prints nothing": "if 0: print(1)",
    "a program that prints white space": "print(' ')",
    "a syntax error": "print((1)",
    "an empty response": "",
}


@pytest.mark.parametrize("case", FALLS_BACK)
def test_mammoth_is_asked_for_a_chain_of_thought_where_its_program_answers_nothing(case, sandbox):
    script = {"p": [Says(FALLS_BACK[case], Stop.END)], "p~": [Says(" The answer is 42", Stop.END)]}
    record, generator = run_way(way("mammoth-70b", "pot"), "pot", script, sandbox)
    first, second = generator.requests
    assert first.pieces[0].text.endswith("What is 6 * 7? Let's write a program.\n\n### Response:")
    assert second.pieces[0].text.endswith("### Instruction:\nWhat is 6 * 7?\n\n### Response:")
    assert second.pieces == (record.prompt,)
    assert (record.text, record.stop, record.mode) == (" The answer is 42", "end", "pot")
    (attempt,) = record.attempts
    assert (attempt.prompt, attempt.stop) == (first.pieces[0], "end")
    assert "".join(piece.text for piece in attempt.response).startswith(FALLS_BACK[case])
    assert record.last_program is None


@pytest.mark.parametrize("text", ["print(6 * 7)", "\nx = 6\nprint(x * 7)\n"])
def test_mammoths_program_that_prints_is_the_answer(text, sandbox):
    record, generator = run_way(way("mammoth-70b", "pot"), "pot", {"p": [Says(text, Stop.END)]}, sandbox)
    assert (texts(record, Source.TOOL), record.attempts, len(generator.requests)) == (["42"], (), 1)
    assert record.last_program.code == text.strip()


def test_a_chain_of_thought_that_does_not_fit_says_so(sandbox):
    pot = way("mammoth-70b", "pot")
    size = len(CODEC.encode(Source.PROMPT, pot.template.prompt("What is 6 * 7?", lang="en", mode="pot")).ids)
    long = dataclasses.replace(pot, otherwise=dataclasses.replace(pot.otherwise, after=("word " * 50,)))
    record, _ = run_way(long, "pot", {"p": [Says("No.", Stop.END)]}, sandbox, longest=size + 1)
    assert (record.stop, record.response, len(record.attempts)) == (Stop.TOO_LONG, (), 1)


@pytest.mark.parametrize(
    ("suite", "text", "printed"),
    [
        ("gsm8k", '\n\ndef solution():\n    """How many?"""\n    # six times\n    return 6 * 7\n\n\n\n', "42"),
        (
            "math",
            "```\nx = Symbol('x')\nanswer = 6 * 7 * x\n```\nThe imports:\n```\nfrom sympy import Symbol\n```\n",
            "42*x",
        ),
    ],
)
def test_deepseek_base_writes_a_function_or_a_variable(suite, text, printed, sandbox):
    protocol = way("deepseek-math-7b-base", "pot", suite).protocol
    result = sandbox.run(protocol.whole(text))
    assert (result.exit, result.stdout) == (Exit.OK, f"{printed}\n"), result.stderr


def test_deepseek_base_has_no_program_in_one_fence():
    protocol = way("deepseek-math-7b-base", "pot", "math").protocol
    assert protocol.whole("```\nanswer = 1\n```\n") is None
