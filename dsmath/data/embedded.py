"""Generated word problems as training examples: dsmath/suites/embedded makes them, apart from those of its test set."""

import collections
from collections.abc import Iterator

from dsmath.data.source import Inputs, Source
from dsmath.records import COT, TOOL, Example, Piece
from dsmath.records import Source as Writer
from dsmath.suites.embedded import generate
from dsmath.suites.embedded.generate import EmbeddedProblem
from dsmath.text.template import with_program


def to_example(problem: EmbeddedProblem, mode: str) -> Example:
    """An example to train on, in mode "cot" or "tool"."""
    solution = {
        COT: (Piece(Writer.MODEL, problem.cot),),
        TOOL: with_program(problem.plan, problem.program, problem.answer, problem.conclusion),
    }[mode]
    return Example(f"{problem.id}-{mode}", "embedded", problem.lang, mode, problem.question, solution, problem.answer)


def examples(inputs: Inputs, drops: collections.Counter[str]) -> Iterator[Example]:
    """`inputs.problems` problems per language, in the wanted modes."""
    for lang in generate.LANGUAGES:
        for problem in generate.generate("train", lang, inputs.problems, inputs.seed):
            yield from (to_example(problem, mode) for mode in inputs.modes)


SOURCE = Source("embedded", files=(), examples=examples, settings=("data.embedded_problems", "seed"))
