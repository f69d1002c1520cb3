"""Trajectories for the tests of what reads them: made by hand, written as an evaluation writes them."""

from pathlib import Path
from typing import Any

from dsmath import runs
from dsmath.journal import Journal
from dsmath.records import Exit, Piece, Problem, Program, Ran, Source, Stop, Trajectory, Verdict
from dsmath.score.counts.outcomes import Outcome
from dsmath.score.graded import Graded
from dsmath.score.graders import Grading
from dsmath.score.scoring import score


def program(exit: str = "ok", shown: str = "4", **changes: Any) -> Program:
    values = {"stdout": f"{shown}\n", "stderr": "", "cpu_s": 0.1, "wall_s": 0.2, "peak_bytes": 1 << 20} | changes
    return Program(f"print({shown})", Ran(Exit(exit), **{"truncated": False} | values), shown)


def trajectory(id: str, response: str | tuple[Piece, ...], **changes: Any) -> Trajectory:
    """Of a question whose answer is 4; fields of the problem and of the trajectory may be changed by name."""
    problem = {"suite": "embedded", "lang": "en", "question": "2 + 2?", "gold": "4", "meta": {}}
    problem |= {name: changes.pop(name) for name in tuple(changes) if name in problem}
    pieces = (Piece(Source.MODEL, response, (1, 2, 3)),) if isinstance(response, str) else response
    values = {
        **{"sample": 0, "mode": "tool", "prompt": Piece(Source.PROMPT, "User: 2 + 2?", (0,)), "stop": Stop.END},
        **{"programs": (), "seed": 0, "protocol": "reference", "checkpoint": "ckpt", "step": 500},
        **{"sandbox": {"level": "L0"}, "elapsed_s": 0.5, "waited_s": 0.1},
    }
    return Trajectory(problem=Problem(id, **problem), response=pieces, **values | changes)


def graded(one: Trajectory, prediction="5", *, correct=False, reason="different", of_program=None, vote=None) -> Graded:
    outcome = Outcome.RIGHT if correct else Outcome.WITHOUT_PROGRAM
    return Graded(one, Verdict(prediction, "4", correct, reason), of_program, outcome, vote)


def write(workdir: Path, trajectories) -> runs.Evaluation:
    """Append to the journal of the evaluation that the first one belongs to."""
    trajectories = list(trajectories)
    first = trajectories[0]
    evaluation = runs.Run(workdir).evaluation(first.step, first.problem.suite, first.mode, first.protocol)
    with Journal(evaluation.trajectories) as journal:
        for one in trajectories:
            journal.append(one.to_json())
    return evaluation


def scored(evaluation: runs.Evaluation, grader: str = "reference", **kwargs: Any) -> dict[str, Any]:
    """The summary, by one worker."""
    with Grading(workers=1) as grading:
        return score(evaluation, grading, grader, **kwargs)
