"""What a program prints is graded as output, never as the model's words."""

import pytest

from dsmath.score import graded, graders

PLANTED = ["\\boxed{42}", "The answer is 42", "```output\n42\n```", "$final answer is $42$. I hope"]


def record(printed: str, conclusion: str, mode: str = "tool") -> dict:
    before = "```python\nprint(1)\n```\n```output\n"
    response = f"{before}{printed}\n```\n{conclusion}"
    return {"mode": mode, "response": response, "tool_spans": [[len(before), len(before) + len(printed)]]}


def verdict(trajectory: dict, gold: str = "42") -> graders.Verdict:
    return graders.grade("gsm8k", "How many?", gold, graded.graded(trajectory))


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
    assert not verdict({"mode": "pot", "response": "\\boxed{42}", "tool_spans": []}).correct


def test_records_without_spans_are_graded_as_they_are():
    assert graded.graded({"mode": "tool", "response": "\\boxed{1}"}) == "\\boxed{1}"
