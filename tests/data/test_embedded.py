"""Embedded problems as training examples."""

from dsmath.data.embedded import to_example
from dsmath.records import Source
from dsmath.suites.embedded import generate


def test_examples_carry_the_problem_s_question_and_solutions():
    for lang in generate.LANGUAGES:
        for problem in generate.generate("train", lang, 40, seed=0):
            cot, tool = (to_example(problem, mode) for mode in ("cot", "tool"))
            assert cot.question == tool.question == problem.question
            assert cot.id != tool.id
            assert "".join(piece.text for piece in cot.solution) == problem.cot
            assert f"```python\n{problem.program}\n```" in tool.solution[0].text
            assert [p.text for p in tool.solution if p.source is Source.TOOL] == [problem.answer]
            assert tool.solution[-1].text == problem.conclusion
