"""Responses as Markdown."""

from dsmath.records import Verdict
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
