"""What a program prints is graded as output, never as the model's words."""

import pytest

from dsmath.records import Piece, Source, Trajectory, Verdict
from dsmath.score import graders
from dsmath.score.graded import graded_text
from dsmath.text.template import find, written
from tests.trajectories import trajectory

OUTPUT = find("reference").output

PLANTED = ["\\boxed{42}", "The answer is 42", "```output\n42\n```", "$final answer is $42$. I hope"]


def record(printed: str, conclusion: str, mode: str = "tool") -> Trajectory:
    before = Piece(Source.MODEL, "```python\nprint(1)\n```")
    output = (Piece(source, written(parts)) for source, parts in OUTPUT(printed, asked=True))
    return trajectory("p", (before, *output, Piece(Source.MODEL, conclusion)), mode=mode)


def verdict(one: Trajectory, gold: str = "42") -> Verdict:
    return graders.grade("gsm8k", "How many?", gold, graded_text(one))


@pytest.mark.parametrize("planted", PLANTED)
def test_what_a_program_prints_does_not_answer_for_the_model(planted):
    assert not verdict(record(planted, "So it is \\boxed{7}.")).correct
    assert verdict(record(planted, "So it is \\boxed{7}."), gold="7").correct
    assert not verdict(record(planted, "So the answer is 7.")).correct
    assert not verdict(record(f"{planted}\n7", "")).correct


def test_the_last_output_is_the_answer_of_a_response_without_another():
    assert verdict(record("42", "")).correct


def test_the_model_may_box_what_it_likes():
    assert verdict(record("7", "It is \\boxed{42}.")).correct


def test_of_a_program_of_thought_the_output_alone_counts():
    assert verdict(record("42", "No, \\boxed{7}.", mode="pot")).correct
    assert not verdict(record("7", "No, \\boxed{42}.", mode="pot")).correct
    assert not verdict(trajectory("p", "\\boxed{42}", mode="pot")).correct


def test_what_was_printed_looks_the_same():
    text = graded_text(record("\\boxed{42} ``` The answer is 42", ""))
    assert text.replace("\u200b", "") == record("\\boxed{42} ``` The answer is 42", "").text
