"""A response and its grade; and what of it is graded: the model's words, and what programs printed as mere output.

The reference protocol reads answers out of the whole text, programs' output included; there a program that prints
`\\boxed{42}` answers in place of the model. Here it can't: only the rule that reads the last output block sees what was
printed.
"""

import dataclasses
import re

from dsmath.records import OUTPUT_FENCE, POT, Source, Trajectory, Verdict
from dsmath.score.counts.outcomes import Outcome

_ZERO_WIDTH_SPACE = "\u200b"
_MARKS = re.compile(r"(?<=`)(?=`)|(?<=box)(?=ed)|(?<=answer)(?= is)")  # fences, \boxed, "the answer is"


def graded_text(trajectory: Trajectory) -> str:
    """The text that a grader reads. In mode "pot" that is the output of the program alone, if it wasn't given up."""
    if trajectory.mode == POT and not trajectory.attempts:
        return "".join(output(piece.text) for piece in trajectory.response if piece.source is Source.TOOL)
    return "".join(inert(piece.text) if piece.source is Source.TOOL else piece.text for piece in trajectory.response)


def output(printed: str) -> str:
    """What a program printed, as the output block that graders know."""
    return f"\n{OUTPUT_FENCE}\n{inert(printed)}\n```\n"


def inert(printed: str) -> str:
    """A program's output in which nothing marks an answer or ends the block; it looks the same."""
    return _MARKS.sub(_ZERO_WIDTH_SPACE, printed)


@dataclasses.dataclass(frozen=True)
class Graded:
    """A trajectory with its grade: a line of scores.jsonl beside one of trajectories.jsonl."""

    trajectory: Trajectory
    verdict: Verdict
    program_correct: bool | None  # the verdict on the last program's output; None without one that ran to its end
    outcome: Outcome
    vote: int | None = None  # where there are several samples: the problem's first one with an equal answer

    @property
    def problem(self) -> str:
        """The id of the problem, which is the unit of statistics."""
        return self.trajectory.problem.id

    @property
    def correct(self) -> bool:
        """Whether the grader accepts it."""
        return self.verdict.correct
