"""The rules of each protocol, turn by turn."""

import pytest

from dsmath.error import UserError
from dsmath.records import Exit, Ran, Stop
from dsmath.rollout import programs, protocols
from dsmath.rollout.protocols import Turn

BLOCK = "```python\nprint(1)\n```"


def turn(generation: str, stop: Stop = Stop.TEXT, before: str = "", ran=()) -> Turn:
    return Turn(before + generation, generation, stop, ran)


def ran(exit: Exit = Exit.OK, stdout: str = "", stderr: str = "") -> Ran:
    return Ran(exit, stdout, stderr, 0.0, 0.0, 0, False)


def test_budgets_are_those_of_the_harnesses():
    budgets = {name: (p.rounds, p.max_new, p.timeout_s) for name, p in protocols.PROTOCOLS.items()}
    assert budgets == {
        "reference": (2, 1024, 10.0),
        "strict": (4, 1024, 10.0),
        "tora": (4, 1024, 5.0),
        "qwen2.5-math": (4, 2048, 5.0),
        "functions": (8, 4096, 10.0),  # ours, as are those of `hosted`
        "hosted": (1, 8192, 10.0),
    }


def test_an_unknown_protocol_is_one_line():
    with pytest.raises(UserError, match="no protocol is named 'x'; expected one of: reference, strict"):
        protocols.find("x")


@pytest.mark.parametrize(
    ("name", "generation", "stop", "goes_on"),
    [
        ("reference", "so", Stop.LENGTH, True),
        ("reference", BLOCK, Stop.END, False),
        ("strict", "so", Stop.LENGTH, False),
        ("strict", BLOCK, Stop.LENGTH, False),
        ("strict", BLOCK, Stop.END, True),
        ("strict", BLOCK, Stop.TEXT, True),
        ("tora", BLOCK, Stop.END, True),
        ("tora", f"\\boxed{{1}} {BLOCK}", Stop.TEXT, False),
        ("tora", "so", Stop.TEXT, False),
        ("qwen2.5-math", BLOCK, Stop.TEXT, True),
    ],
)
def test_when_a_response_goes_on(name, generation, stop, goes_on):
    assert protocols.find(name).goes_on(turn(generation, stop)) is goes_on


def test_reference_assembles_all_blocks_and_keeps_their_state_that_way():
    program = protocols.find("reference").program(turn(f"```python\nx = 1\nprint(x)\n```\n{BLOCK}"))
    assert (program.code, program.replay) == ("x = 1\nprint(1)", ())


def test_strict_runs_the_new_block_after_the_earlier_ones_that_succeeded():
    earlier = [("x = 1", ran()), ("1/0", ran(Exit.ERROR)), ("y = 2", ran())]
    program = protocols.find("strict").program(turn(BLOCK, before="```python\nx = 1\n```\n", ran=earlier))
    assert (program.code, program.replay) == ("print(1)", ("x = 1", "y = 2"))


def test_strict_takes_no_block_of_an_earlier_generation():
    assert protocols.find("strict").program(turn("So it is 1.", before=BLOCK)) is None


def test_tora_runs_the_last_block_alone():
    program = protocols.find("tora").program(turn(BLOCK, before="```python\nx = 1\n```\n"))
    assert (program.code, program.replay) == ("print(1)", ())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (BLOCK, "print(1)"),
        ("print(1)", "print(1)"),
        ("```python\nprint(1)", "print(1)"),
        (f"No.\n{BLOCK}\nSo.", "print(1)"),
    ],
)
def test_a_program_of_thought_is_the_last_block_or_everything(text, code):
    assert programs.whole(text) == code


FAILED = ran(
    Exit.ERROR, "7\n", 'Traceback (most recent call last):\n  File "<string>", line 1, in <module>\nKeyError: 1\n'
)


@pytest.mark.parametrize(
    ("name", "result", "shown"),
    [
        ("strict", FAILED, "7\nKeyError: 1"),
        ("strict", ran(Exit.TIMEOUT, "7\n"), "7\nTimeout Error"),
        ("strict", ran(), "(no output)"),
        ("strict", ran(stdout="x" * 3000), "x" * 1000 + "..." + "x" * 1000),
        ("tora", FAILED, "KeyError: 1"),
        ("tora", ran(), "Done"),
        ("tora", ran(stdout="x" * 401), "x" * 200 + "..." + "x" * 200),
        ("tora", ran(Exit.TIMEOUT), "Timeout Error"),
    ],
)
def test_what_the_model_sees_of_a_run(name, result, shown):
    assert protocols.find(name).shown(result, None) == shown
