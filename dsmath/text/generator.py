"""What is asked of a generator of text, and what it answers.

Anything with the methods of `Generator` can be evaluated: the engine on this host's devices, or a client of a server.
"""

import dataclasses
import enum
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. The key of a draw is (seed, request id, position), so neither batching nor a
    restart changes a sample."""

    temperature: float  # 0 is greedy
    top_p: float  # 1 keeps all
    top_k: int  # 0 keeps all
    seed: int


@dataclasses.dataclass(frozen=True)
class Request:
    """One generation.

    `ids` is the whole sequence so far. With `hold`, the generator keeps its cache after the generation, and a
    later request of the same `id`, whose `ids` go on from it, computes only what is new. What is shared is found by
    comparing ids, so holding is an optimisation and never changes an answer.
    """

    id: str
    ids: tuple[int, ...]
    max_new: int  # tokens
    stop: tuple[str, ...]  # texts that end the generation; they are not part of it
    sampling: Sampling
    hold: bool = False


class Stop(enum.StrEnum):
    """Why a generation ended."""

    END = "end"  # the end-of-sequence token, which is the last of `ids`
    TEXT = "text"  # a stop text, which is not in `ids`
    LENGTH = "length"  # max_new tokens, or a full cache


@dataclasses.dataclass(frozen=True)
class Completion:
    """What one request generated.

    `text` is the decoded generation without end token and stop text. `ids` are the tokens wholly inside `text` (and
    the end token for Stop.END); where a stop text began inside a token, `tail` is the part of `text` after `ids`.
    """

    id: str
    ids: tuple[int, ...]
    text: str
    tail: str
    stop: Stop


class Generator(Protocol):
    """Asynchronous generation. Not thread-safe: one thread submits and polls."""

    def submit(self, request: Request) -> None:
        """Queue a request. Raises UserError if it can never fit: the ids are longer than the cache."""

    def poll(self) -> list[Completion]:
        """Do one dispatch of work, if there is any, and return what ended. Never blocks for lack of work."""

    def release(self, id: str) -> None:
        """Let go of a held sequence. A request without `hold` releases by itself."""

    @property
    def idle(self) -> bool:
        """Whether no request is queued or running (held sequences don't count)."""
