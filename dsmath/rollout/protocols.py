"""Protocols of tool use: how often a model may go on, which of its code runs, what it sees of the result.

`reference` is the DeepSeekMath authors' evaluation code to the letter, with one exception: what a program prints never
passes for the model's own words, so a fence in its output opens no program. `strict` keeps state between programs as
a notebook does. `tora` and `qwen2.5-math` have the budgets, stops and clipping of those harnesses
(github.com/microsoft/ToRA, github.com/QwenLM/Qwen2.5-Math); not their prompts, their graders, or Qwen's evaluation of a
last line that prints nothing. `functions` is for a server's function calls, which a generator writes as programs, and
is `strict` but for its end: a model that calls nothing has answered. Under `hosted` nothing runs here: the server runs
programs by itself, in as many rounds as it likes.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence

from dsmath.error import UserError
from dsmath.records import FENCE, Exit, Ran, Stop
from dsmath.rollout import programs


@dataclasses.dataclass(frozen=True)
class Turn:
    """A response up to the end of one generation; white space at its end is stripped."""

    response: str  # all of it; programs' output can't be taken for code in it
    generation: str  # what the last generation added
    stop: Stop
    ran: Sequence[tuple[str, Ran]]  # earlier programs and what they did


@dataclasses.dataclass(frozen=True)
class Call:
    """What the sandbox runs: `replay` are blocks that run first, in silence."""

    code: str
    replay: tuple[str, ...] = ()
    value: bool = False  # whether that of its last expression is printed, as a notebook does


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way of using tools."""

    name: str
    rounds: int  # generations per problem
    max_new: int  # tokens per generation
    timeout_s: float  # per program
    goes_on: Callable[[Turn], bool]  # whether the response is unfinished
    program: Callable[[Turn], Call | None]  # what runs before the next generation
    refused: re.Pattern | None  # a program with this in it doesn't run, and fails
    shown: Callable[[Ran, programs.Clip], str]
    grader: str  # what its scores are read with, unless another one is asked for: dsmath/score/graders.py
    elsewhere: bool = False  # whether a server runs the programs, in no sandbox of ours
    whole: Callable[[str], str | None] = programs.whole  # in mode "pot": the program of a response, None if it has none


def find(name: str) -> Protocol:
    """The protocol of that name. Raises UserError if there is none."""
    if name not in PROTOCOLS:
        raise UserError(f"no protocol is named {name!r}; expected one of: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def _no_end_token(turn: Turn) -> bool:
    """Quirk: a generation that was cut at its length gets another one, whatever it said."""
    return turn.stop is not Stop.END


def _assembled(turn: Turn) -> Call | None:
    code = programs.program(turn.response)
    return None if code is None else Call(code)


def _wants_output(turn: Turn) -> bool:
    return turn.stop is not Stop.LENGTH and programs.last_block(turn.generation) is not None


def _with_state(turn: Turn) -> Call | None:
    code = programs.last_block(turn.generation)
    earlier = tuple(code for code, ran in turn.ran if ran.exit is Exit.OK)
    return None if code is None else Call(code, replay=earlier)


def _calls(turn: Turn) -> bool:
    return turn.stop is Stop.TEXT


def _never(turn: Turn) -> bool:
    return False


def _nothing(turn: Turn) -> Call | None:
    return None


def _unanswered(turn: Turn) -> bool:
    return "boxed" not in turn.generation and turn.generation.endswith(FENCE)


def _last_block(turn: Turn) -> Call | None:
    code = programs.last_block(turn.response)
    return None if code is None else Call(code)


def chain(name: str, *, max_new: int) -> Protocol:
    """A protocol of one generation, in which nothing runs."""
    return dataclasses.replace(PROTOCOLS["reference"], name=name, rounds=1, max_new=max_new)


_TORA = Protocol(
    name="tora",
    rounds=4,
    max_new=1024,
    timeout_s=5.0,
    goes_on=_unanswered,
    program=_last_block,
    refused=programs.REFUSED,
    shown=programs.shown_by_tora,
    grader="strict",
)

_STRICT = Protocol(
    name="strict",
    rounds=4,
    max_new=1024,
    timeout_s=10.0,
    goes_on=_wants_output,
    program=_with_state,
    refused=None,
    shown=programs.shown_strictly,
    grader="strict",
)

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="reference",
            rounds=2,
            max_new=1024,
            timeout_s=10.0,
            goes_on=_no_end_token,
            program=_assembled,
            refused=programs.REFUSED,
            shown=programs.shown,
            grader="reference",
        ),
        _STRICT,
        _TORA,
        dataclasses.replace(_TORA, name="qwen2.5-math", max_new=2048),
        dataclasses.replace(_STRICT, name="functions", rounds=8, max_new=4096, goes_on=_calls),
        dataclasses.replace(
            _STRICT, name="hosted", rounds=1, max_new=8192, goes_on=_never, program=_nothing, elsewhere=True
        ),
    )
}
