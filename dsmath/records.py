"""The records that the rooms pass to each other, and the few names that all of them share. Imports nothing of ours.

    Problem -> Trajectory -> Verdict          what is asked, what was answered, how it was graded
    Example                                   what is trained on

Text remembers who wrote it: a `Piece` has one writer, and a token is trained on iff its writer is one that is trained.
"""

import dataclasses
import enum
from typing import Any, ClassVar

COT, TOOL, POT = "cot", "tool", "pot"  # chain of thought; text and programs in turn; one program, which is the answer
MODES = (COT, TOOL, POT)

FENCE = "```"
PYTHON_FENCE = "```python"
OUTPUT_FENCE = "```output"


class Source(enum.IntEnum):
    """The writer of a piece of text."""

    PROMPT = 0
    MODEL = 1
    TOOL = 2  # what a program printed
    FRAME = 3  # what the loop of model and program writes around that


@dataclasses.dataclass(frozen=True)
class Piece:
    """A stretch of text by one writer. `ids` are its tokens as they were sampled or encoded, if anyone knows them."""

    source: Source
    text: str
    ids: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Problem:
    """A question of a suite, with what its grader needs."""

    id: str  # unique and stable: "gsm8k-test-17"
    suite: str
    lang: str  # "en" or "zh"
    question: str
    gold: str  # the answer, or for MATH the solution, from which the grader extracts it
    meta: dict[str, Any]  # level, subject, grade, ...: JSON values


@dataclasses.dataclass(frozen=True)
class Example:
    """A question and a solution to train on, in pieces that say who writes them.

    Modes "cot" and "pot": one piece by the model. Mode "tool": the model writes prose and a program and asks for its
    output, the tool answers, the model goes on; `dsmath.text.template` says how that looks.
    """

    id: str
    source: str  # "embedded", "gsm8k", ...
    lang: str
    mode: str  # of MODES
    question: str
    solution: tuple[Piece, ...]
    answer: str
    row: str = ""  # of the source: a file and a number, or the name that the source gives it
    license: str = ""
    topic: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` is the inverse."""
        texts = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "solution"}
        return texts | {"solution": [_piece_to_json(piece) for piece in self.solution]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Example":
        """Raises KeyError or TypeError for values that are no example."""
        return cls(**values | {"solution": tuple(map(_piece_from_json, values["solution"]))})


class Stop(enum.StrEnum):
    """Why a generation ended, and with it a response."""

    END = "end"  # the model ended its turn
    TEXT = "text"  # a stop text, which is not in the generation
    LENGTH = "length"  # the most new tokens, or a full cache
    TOO_LONG = "too_long"  # nothing was generated: the prompt doesn't fit
    REFUSED = "refused"  # a server's filter kept the prompt or the answer back
    FAILED = "failed"  # a server gave no answer, however often it was asked


UNANSWERED = frozenset((Stop.TOO_LONG, Stop.REFUSED, Stop.FAILED))  # a response goes no further


class Exit(enum.StrEnum):
    """How a program ended."""

    OK = "ok"
    ERROR = "error"  # an exception, a non-zero status, or a signal
    TIMEOUT = "timeout"
    MEMORY = "memory"  # or more threads than allowed
    OUTPUT = "output"  # it wrote more than it may
    SANDBOX = "sandbox"  # the sandbox failed or was closed: nothing is known about the program


@dataclasses.dataclass(frozen=True)
class Ran:
    """What a program did. `stdout` and `stderr` hold what was written before the end, whatever the end was."""

    exit: Exit
    stdout: str
    stderr: str
    cpu_s: float
    wall_s: float
    peak_bytes: int  # resident, including the interpreter with its libraries
    truncated: bool  # whether a stream was cut at its limit


@dataclasses.dataclass(frozen=True)
class Program:
    """A program of a response: what ran, what it did, and what the model was shown of that."""

    code: str
    ran: Ran
    shown: str


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a server says that it took, requests that failed included as far as it told."""

    prompt_tokens: int
    completion_tokens: int  # all that are billed as such, those of hidden reasoning included
    requests: int
    untold: int  # answers whose tokens it didn't tell
    dollars: float | None  # at the price of the day; None where none was given

    def __add__(self, other: "Usage") -> "Usage":
        known = self.dollars is not None and other.dollars is not None
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.requests + other.requests,
            self.untold + other.untold,
            (self.dollars or 0.0) + (other.dollars or 0.0) if known else None,
        )


@dataclasses.dataclass(frozen=True)
class Attempt:
    """What was answered to a prompt and given up, before the problem was asked in another way."""

    prompt: Piece
    response: tuple[Piece, ...]
    stop: Stop

    @property
    def text(self) -> str:
        """The response, whoever wrote it."""
        return "".join(piece.text for piece in self.response)


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """A response to a problem, with all that its grade depends on: a line of trajectories.jsonl."""

    problem: Problem
    sample: int  # of the problem's samples, from 0
    mode: str  # of MODES
    prompt: Piece
    response: tuple[Piece, ...]
    stop: Stop  # of the last generation
    programs: tuple[Program, ...]
    seed: int
    protocol: str
    checkpoint: str  # with the fingerprint of its weights
    step: int  # of training; 0 for the weights that it starts from
    sandbox: dict[str, Any]  # the level that was active, and the limits
    VERSION: ClassVar[int] = 2  # 1 was a response in one text, with spans of what programs printed

    elapsed_s: float = 0.0  # since the trajectory before, by the clock of the process that made both
    waited_s: float = 0.0  # of these, without anything to generate, for programs
    put_backs: int = 0  # how often its sequence had to make room for others, and was computed again later
    pool_use: float | None = None  # share of the generator's memory for sequences that was in use at its end
    attempts: tuple[Attempt, ...] = ()  # before this prompt; their programs are among `programs`
    usage: Usage | None = None  # what a server says of it; None of an engine
    reason: str = ""  # why a server refused or failed

    @property
    def key(self) -> tuple[str, int]:
        """What names it in a journal."""
        return self.problem.id, self.sample

    @property
    def text(self) -> str:
        """The response, whoever wrote it."""
        return "".join(piece.text for piece in self.response)

    @property
    def last_program(self) -> Program | None:
        """Of the response; None if it has none, as one has that is written after programs were given up."""
        return self.programs[-1] if self.programs and not self.attempts else None

    @property
    def generated_tokens(self) -> int | None:
        """By the model, as its tokenizer or its server counts them; None where the generator didn't tell."""
        if self.usage is not None:
            return None if self.usage.untold else self.usage.completion_tokens
        responses = (*(attempt.response for attempt in self.attempts), self.response)
        by_model = [piece.ids for response in responses for piece in response if piece.source is Source.MODEL]
        known = [len(ids) for ids in by_model if ids is not None]
        return sum(known) if len(known) == len(by_model) else None

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` is the inverse."""
        programs = [{"code": p.code, **dataclasses.asdict(p.ran), "shown": p.shown} for p in self.programs]
        rest = {field: getattr(self, field) for field in ("seed", "protocol", "checkpoint", "step", "sandbox")}
        return {
            "version": self.VERSION,
            **dataclasses.asdict(self.problem),
            "sample": self.sample,
            "mode": self.mode,
            "prompt": _piece_to_json(self.prompt),
            "response": [_piece_to_json(piece) for piece in self.response],
            "stop": self.stop.value,
            "programs": programs,
            **rest,
            "elapsed_s": round(self.elapsed_s, 4),
            "waited_s": round(self.waited_s, 4),
            "put_backs": self.put_backs,
            "pool_use": None if self.pool_use is None else round(self.pool_use, 4),
            **({"attempts": list(map(_attempt_to_json, self.attempts))} if self.attempts else {}),
            **({"usage": dataclasses.asdict(self.usage)} if self.usage else {}),
            **({"reason": self.reason} if self.reason else {}),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Trajectory":
        """Raises KeyError for a field that is missing, ValueError or TypeError for one that is no such value."""
        if values["version"] != cls.VERSION:
            raise ValueError(f"version is {values['version']!r}; expected {cls.VERSION}")
        return cls(
            problem=Problem(**{field.name: values[field.name] for field in dataclasses.fields(Problem)}),
            prompt=_piece_from_json(values["prompt"]),
            response=tuple(map(_piece_from_json, values["response"])),
            stop=Stop(values["stop"]),
            programs=tuple(map(_program_from_json, values["programs"])),
            **{name: values[name] for name in ("sample", "mode", "seed", "protocol", "checkpoint", "step", "sandbox")},
            **{name: values[name] for name in ("elapsed_s", "waited_s")},
            put_backs=values.get("put_backs", 0),
            pool_use=values.get("pool_use"),
            attempts=tuple(map(_attempt_from_json, values.get("attempts", ()))),
            usage=Usage(**values["usage"]) if "usage" in values else None,
            reason=values.get("reason", ""),
        )


def _piece_to_json(piece: Piece) -> dict[str, Any]:
    ids = {} if piece.ids is None else {"ids": list(piece.ids)}
    return {"source": piece.source.name.lower(), "text": piece.text, **ids}


def _piece_from_json(values: dict[str, Any]) -> Piece:
    ids = tuple(values["ids"]) if "ids" in values else None
    return Piece(Source[values["source"].upper()], values["text"], ids)


def _attempt_to_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "prompt": _piece_to_json(attempt.prompt),
        "response": [_piece_to_json(piece) for piece in attempt.response],
        "stop": attempt.stop.value,
    }


def _attempt_from_json(values: dict[str, Any]) -> Attempt:
    response = tuple(map(_piece_from_json, values["response"]))
    return Attempt(_piece_from_json(values["prompt"]), response, Stop(values["stop"]))


def _program_from_json(values: dict[str, Any]) -> Program:
    ran = {field.name: values[field.name] for field in dataclasses.fields(Ran)}
    return Program(values["code"], Ran(**ran | {"exit": Exit(values["exit"])}), values["shown"])


Answer = str | list[str]  # MATH compares all boxed answers, the other suites the last one


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How a response was graded.

    `reason` names the rule that accepted, or else is "different", "no answer", "timeout", "died" (the worker was
    killed or ran out of memory) or "too deep" (nested beyond Python's recursion limit).
    """

    prediction: Answer
    answer: Answer
    correct: bool
    reason: str
