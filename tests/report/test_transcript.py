"""Responses as Markdown."""

import dataclasses

from dsmath.records import Attempt, Piece, Source, Stop, Verdict
from dsmath.report.transcript import markdown
from dsmath.score.counts.outcomes import Outcome
from dsmath.score.graded import Graded
from tests.trajectories import program, trajectory

RAN = (program(),)


def record(response, *, question="2 + 2?", programs=RAN, prediction="4", answer="4"):
    one = trajectory("p1", response, question=question, programs=programs)
    return Graded(one, Verdict(prediction, answer, True, "close"), None, Outcome.RIGHT)


def test_programs_and_outputs_keep_their_fences():
    response = "First.\n```python\n# sum\nprint(2 < 4)\n```\n```output\nTrue\n```\nDone."
    assert response in markdown(record(response))


def test_prose_is_shown_as_it_is():
    page = markdown(record("# heading\n<script>alert(1)</script>", question="a < b?\n# c"))
    assert "\\# heading\n&lt;script>alert(1)&lt;/script>" in page
    assert "> a &lt; b?\n> \\# c" in page


def test_a_response_that_ends_inside_a_fence_does_not_swallow_the_verdict():
    page = markdown(record("```python\nprint(1", programs=(), prediction="", answer=["4", "5"]))
    assert "print(1\n```\n\nPrediction none, answer `4, 5`" in page
    assert "programs: none" in page


def test_what_was_given_up_comes_before_the_answer_with_its_programs():
    given_up = (Piece(Source.MODEL, "```python\nprint(1 / 0"), Piece(Source.TOOL, "# not shown as a heading"))
    one = record("The answer is 4", programs=(program("error"),))
    attempt = Attempt(Piece(Source.PROMPT, "Write a program."), given_up, Stop.LENGTH)
    one = dataclasses.replace(one, trajectory=dataclasses.replace(one.trajectory, attempts=(attempt,)))
    assert (
        "> 2 + 2?\n"
        "\n"
        "Given up (stop: length):\n"
        "\n"
        "```python\n"
        "print(1 / 0# not shown as a heading\n"
        "```\n"
        "\n"
        "Asked again:\n"
        "\n"
        "The answer is 4\n"
        "\n"
        "Prediction `4`"
    ) in markdown(one)
    assert "programs: error" in markdown(one)
