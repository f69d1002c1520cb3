"""dsmath's command line with a model that knows the embedded problems, and solves them at times: for annotation."""

import hashlib
import time
from typing import Any

from dsmath.cli import main, subject
from dsmath.records import Source, Stop
from dsmath.rollout.evaluation import Subject
from dsmath.suites.embedded import generate
from dsmath.text.generator import Completion, Request
from tests.rollout.scripted import CODEC

PAUSE_S = 0.01  # per generation, so that there is a time to kill it in


class Knowing:
    """A generator that writes the program of a problem, in several ways, right or wrong by the request's id."""

    pool_use = None

    def __init__(self) -> None:
        self.codec = CODEC
        problems = [p for lang in generate.LANGUAGES for p in generate.generate("train", lang, 40, seed=0)]
        self._problems = {problem.id: problem for problem in problems}
        self._queue: list[Request] = []

    @property
    def idle(self) -> bool:
        """Whether nothing is asked."""
        return not self._queue

    def submit(self, request: Request) -> None:
        """Ask for a program, or for the conclusion behind its output."""
        self._queue.append(request)

    def release(self, id: str) -> None:
        """Nothing is held."""

    def poll(self) -> list[Completion]:
        """One generation."""
        time.sleep(PAUSE_S)
        request = self._queue.pop(0)
        problem = self._problems[request.id.partition("#")[0]]
        draw = hashlib.sha256(request.id.encode()).digest()
        right = problem.program
        ways = (right, f"# {draw[1]}\n\n{right}", right.replace("x", "n"), f"total = 0\n{right}", "print(0)")
        code = ways[draw[0] % len(ways)]
        if len(request.pieces) == 1:
            text, stop = f"{problem.plan}\n```python\n{code}\n```\n", Stop.TEXT
        else:
            text, stop = problem.conclusion if code != ways[-1] else "It is \\boxed{0}.", Stop.END
        return [Completion(request.id, self.codec.encode(Source.MODEL, (text,)), (), stop)]


def load(settings: Any, run: Any, step: int | None, ways: Any, trained: Any = None) -> Subject:
    """In place of a run's model."""
    return Subject(Knowing(), ways, "knowing", step or 0, {})


if __name__ == "__main__":
    subject.load = load
    main.main()
