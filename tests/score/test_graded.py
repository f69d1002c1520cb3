"""What a program prints is graded as output, never as the model's words."""

import pytest

from dsmath.records import Attempt, Piece, Source, Stop, Trajectory, Verdict
from dsmath.score import graders
from dsmath.score.graded import graded_text
from dsmath.score.scoring import read_graded, read_trajectories
from dsmath.text.template import find, written
from tests.trajectories import program, scored, trajectory, write

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


def fallen_back(answer: str, *, id: str = "p", exit: str = "error", **changes) -> Trajectory:
    """Of a problem whose program was given up for a chain of thought."""
    pieces = (Piece(Source.MODEL, "print(42)"), *OUTPUT("42", asked=False))
    written = tuple(p if isinstance(p, Piece) else Piece(p[0], "".join(p[1])) for p in pieces)
    attempt = Attempt(Piece(Source.PROMPT, "2 + 2? Let's write a program."), written, Stop.END)
    values = {"mode": "pot", "programs": (program(exit, shown="42"),), "attempts": (attempt,)} | changes
    return trajectory(id, answer, **values)


def test_of_a_program_that_was_given_up_the_chain_of_thought_counts_alone():
    assert graded_text(fallen_back("The answer is 7")) == "The answer is 7"
    assert verdict(fallen_back("The answer is 42")).correct
    assert not verdict(fallen_back("The answer is 7")).correct, "its program had printed 42"
    assert not verdict(fallen_back("")).correct


def test_what_was_given_up_comes_back_from_the_journal_and_is_scored(tmp_path):
    """And a wrong chain of thought is one without a program, whatever became of the program before."""
    records = [
        fallen_back("The answer is 4", id="a"),
        fallen_back("The answer is 7", id="b"),
        fallen_back("The answer is 7", id="c", exit="timeout"),
        fallen_back("The answer is 7", id="d", exit="ok"),  # it had printed nothing
        fallen_back("Well", id="e", stop=Stop.LENGTH),
    ]
    evaluation = write(tmp_path, records)
    assert list(read_trajectories(evaluation.trajectories)) == records
    summary = scored(evaluation, "all")
    assert summary["accuracy"] == 20.0
    assert summary["outcomes"] == {"right": 1, "truncated": 1, "wrong without a program": 3}
    assert summary["tools"]["programs"] == 5
    assert summary["tools"]["program_correct"] == 0
    assert [one.verdict.prediction for one in read_graded(evaluation)] == ["4", "7", "7", "7", ""]
