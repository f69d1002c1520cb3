"""The protocol's rules from response to program, and from run to what the model sees."""

import pytest

from dsmath.records import Exit, Ran
from dsmath.rollout import programs
from dsmath.text import tokenizer as tokenizers
from dsmath.text.codec import TokenCodec


@pytest.fixture(scope="module")
def codec():
    return TokenCodec(
        tokenizers.train(["Runtime errors: Traceback in solve NameError: name is not defined"], vocab_size=400)
    )


def block(code: str) -> str:
    return f"```python\n{code}\n```"


def ran(exit: Exit = Exit.OK, stdout: str = "", stderr: str = "") -> Ran:
    return Ran(exit=exit, stdout=stdout, stderr=stderr, cpu_s=0.0, wall_s=0.0, peak_bytes=0, truncated=False)


def test_a_program_runs_only_if_the_response_ends_with_a_fence():
    assert programs.program(f"Let us see.\n{block('print(1)')}\n \n") == "print(1)"
    assert programs.program(f"{block('print(1)')}\nSo it is 1.") is None
    assert programs.program("no program") is None
    assert programs.program("```") is None


def test_quirk_before_a_fence_without_the_word_python_the_prose_is_the_program():
    assert programs.program("```\nprint(1)\n```") is None
    assert programs.program("The answer:\n```\nprint(1)\n```") == "The answer:"


def test_output_blocks_are_not_code():
    response = f"{block('x = 2')}\n```output\n7\n```\nand\n{block('print(x)')}"
    assert programs.program(response) == "x = 2\nprint(x)"


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("x = 3", True),
        ("print(x)", False),
        ("y = 1; print(x)", False),
        ("for i in s: print(i)", False),
        ("    print(x)", True),
        ("\tprint(x)", False),
        ("  print(x)", False),
        ("def f(): print(1)", True),
        ("import os; print(1)", True),
        ("from os import path; print(1)", False),
        ("from os import path", True),
    ],
)
def test_lines_of_earlier_blocks_that_stay(line, stays):
    code = programs.assemble(f"{block('a = 1' + chr(10) + line)}\n{block('print(2)')}")
    assert code == ("a = 1\n" + line if stays else "a = 1") + "\nprint(2)"


def test_the_last_block_is_whole_and_empty_blocks_do_not_count():
    assert programs.assemble(f"{block('print(1)')}{block('print(2)')}{block(' ')}") == "print(2)"


def test_quirk_prose_with_a_fence_before_the_first_block_is_a_block():
    assert programs.assemble(f"Use ``` here.\n{block('print(1)')}") == "Use\nprint(1)"
    assert programs.assemble(f"Use it here.\n{block('print(1)')}") == "print(1)"


def test_quirk_blocks_lose_the_indentation_of_their_first_line():
    assert programs.assemble(block("    x = 1\n    print(x)")) == "x = 1\n    print(x)"


def test_an_unclosed_last_block_does_not_run():
    assert programs.assemble(f"{block('print(1)')}\n```python\nprint(2)") == "print(1)"


def test_comments_and_docstrings_lose_their_text():
    code = "\n".join(
        ["# one", "def f():", "    # two", '    """three"""', '    """', "    four", '    """', "    return 1  # five"]
    )
    assert programs.without_comments(code).split("\n") == [
        "# comments",
        "def f():",
        "    # comments",
        '    """comments"""',
        "",
        "    return 1  # five",
    ]


def test_quirk_the_end_of_an_assigned_string_swallows_what_follows():
    code = 's = """a\nb\n"""\nprint(1)'
    assert programs.without_comments(code) == 's = """a\nb'


def test_quirk_a_comment_inside_a_docstring_does_not_close_it():
    code = '"""\n# still """\nx\nend"""\nprint(1)'
    assert programs.without_comments(code) == "\nprint(1)"


@pytest.mark.parametrize("code", ["x = input()", "user_input(3)", "import os\nos.system('ls')", "osXsystem(1)"])
def test_programs_that_would_ask_or_shell_out_are_refused(code):
    assert programs.REFUSED.search(code)


def test_a_refused_program_shows_as_an_error(codec):
    assert programs.shown(programs.REFUSAL, codec.clip) == "Runtime errors: RuntimeError"


def test_stdout_is_clipped_to_a_hundred_characters(codec):
    assert programs.shown(ran(stdout="\n" + "x" * 100 + "\n"), codec.clip) == "x" * 100
    assert programs.shown(ran(stdout="a" * 60 + "b" * 60), codec.clip) == "a" * 50 + "..." + "b" * 50


@pytest.mark.parametrize("stdout", ["", "\n \n"])
def test_quirk_success_without_output_shows_as_a_bare_error(codec, stdout):
    assert programs.shown(ran(stdout=stdout, stderr="a warning"), codec.clip) == "Runtime errors:"


def test_quirk_what_was_printed_before_a_failure_is_lost(codec):
    failed = ran(Exit.ERROR, stdout="42\n", stderr="Traceback (most recent call last):\nValueError: no\n")
    assert programs.shown(failed, codec.clip) == "Runtime errors: ValueError: no"
    assert programs.shown(ran(Exit.TIMEOUT, stdout="42\n"), codec.clip) == "Runtime errors: Timeout Error"
    assert programs.shown(ran(Exit.OUTPUT, stdout="42\n"), codec.clip) == "Runtime errors: Output Limit Error"
    assert programs.shown(ran(Exit.MEMORY), codec.clip) == "Runtime errors: MemoryError"


def test_long_tracebacks_are_clipped_to_a_hundred_tokens(codec):
    text = "ValueError: " + "0" * 60 + "1" * 60
    expected_end = " ... " + "1" * 50  # each digit is a token
    shown = programs.shown(ran(Exit.ERROR, stderr=f"Traceback (most recent call last):\n{text}\n"), codec.clip)
    assert shown.startswith("Runtime errors: ValueError: 000")
    assert shown.endswith(expected_end)
    assert len(codec.tokenizer.encode(shown.removeprefix("Runtime errors: ").removesuffix(expected_end))) == 50


def test_tracebacks_lose_module_frames_paths_and_line_numbers():
    stderr = """a warning
Traceback (most recent call last):
  File "<string>", line 9, in <module>
  File "<string>", line 3, in solve
  File "/opt/python/lib/python3.11/statistics.py", line 430, in mean
    raise StatisticsError('mean requires at least one data point')
  File "/opt/v/lib/python3.11/site-packages/sympy/core/add.py", line 7, in add
    return x
NameError: name 'lenght' is not defined. Did you mean: 'length'?
"""
    assert programs.traceback(stderr).split("\n") == [
        "in solve",
        "  in mean",
        "    raise StatisticsError('mean requires at least one data point')",
        '  File "site-packages/sympy/core/add.py", in add',
        "    return x",
        "NameError: name 'lenght' is not defined",
    ]


def test_of_chained_tracebacks_the_last_counts():
    stderr = """Traceback (most recent call last):
  File "<string>", line 2, in <module>
KeyError: 1

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "<string>", line 4, in <module>
ValueError: two
"""
    assert programs.traceback(stderr) == "ValueError: two"


def test_syntax_errors_keep_their_line():
    stderr = (
        "<string>:1: SyntaxWarning: odd\n  File \"<string>\", line 2\n    (\n    ^\nSyntaxError: '(' was never closed\n"
    )
    assert programs.traceback(stderr) == "File \"<string>\", line 2\n    (\n    ^\nSyntaxError: '(' was never closed"
