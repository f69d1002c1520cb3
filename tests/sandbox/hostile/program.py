"""The record of one hostile or broken program."""

import dataclasses

ENDS = ("ok", "error")
HANGS = ("timeout",)
GROWS = ("ok", "error", "memory", "timeout")  # it may catch its MemoryError, die of it, or be too slow to get there
FLOODS = ("output",)


@dataclasses.dataclass(frozen=True)
class Program:
    """A program, what it attempts, and how it may end.

    The code follows `prelude.py` and constants that name its targets, which `judge.World` makes: a canary file, a
    victim process, listeners. `bare` programs come as they are. Programs are written so that they do no harm to the
    machine even where nothing contains them: forks, sizes and durations are bounded, targets are the judge's own.
    """

    name: str
    attempts: str
    code: str
    exits: tuple[str, ...] = ENDS
    bare: bool = False
