"""What is asked of a generator of text, and what it answers.

Anything with the methods of `Generator` can be evaluated: the engine on this host's devices, or a client of a server.
"""

import dataclasses
import functools
from typing import Protocol

from dsmath.records import Piece, Program, Stop, Usage
from dsmath.text.codec import Codec
from dsmath.text.template import Part


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. The key of a draw is (seed, request id, position), so neither batching nor a
    restart changes a sample."""

    temperature: float  # 0 is greedy
    top_p: float  # 1 keeps all
    top_k: int | None  # None keeps all
    seed: int


@dataclasses.dataclass(frozen=True)
class Request:
    """One generation.

    `pieces` is the whole sequence so far, as the generator's codec made it. With `hold`, the generator keeps its cache
    after the generation, and a later request of the same `id`, whose pieces go on from it, computes only what is new.
    What is shared is found by comparing ids, so holding is an optimisation and never changes an answer.
    """

    id: str
    pieces: tuple[Piece, ...]
    max_new: int  # tokens
    stop: tuple[Part, ...]  # texts and special tokens that end the generation with Stop.TEXT; they are not part of it
    sampling: Sampling
    hold: bool = False
    ends: tuple[Part, ...] = ()  # those that end it with Stop.END

    @functools.cached_property
    def ids(self) -> tuple[int, ...]:
        """The tokens of the pieces. Raises ValueError where a piece has none."""
        ids: list[int] = []
        for piece in self.pieces:
            if piece.ids is None:
                raise ValueError(f"request {self.id!r} has a piece without ids: {piece.text!r}")
            ids.extend(piece.ids)
        return tuple(ids)


@dataclasses.dataclass(frozen=True)
class Completion:
    """What one request generated.

    `piece` is the model's, without what ended it. `end` is the token that did, or nothing: a stop text, or the length.
    """

    id: str
    piece: Piece
    end: tuple[int, ...]
    stop: Stop  # Stop.TEXT for a special token of the request's `stop`, too
    put_backs: int = 0  # how often it had to make room for others, and was computed again later
    before: tuple[Piece, ...] = ()  # what a server wrote and ran by itself, before `piece`
    programs: tuple[Program, ...] = ()  # those that it ran
    usage: Usage | None = None  # what a server says that it took
    reason: str = ""  # why it was refused or failed

    @property
    def ids(self) -> tuple[int, ...]:
        """All tokens that were generated, but those of a stop text."""
        return (self.piece.ids or ()) + self.end


class Generator(Protocol):
    """Asynchronous generation. Not thread-safe: one thread submits and polls."""

    codec: Codec

    def submit(self, request: Request) -> None:
        """Queue a request. Raises UserError if it can never fit: the ids are longer than the cache."""

    def poll(self) -> list[Completion]:
        """Do one dispatch of work, if there is any, and return what ended. Never blocks for lack of work.

        Of a server: raises UserError for what a person has to mend, Preempted if it is gone.
        """

    def release(self, id: str) -> None:
        """Let go of a held sequence. A request without `hold` releases by itself."""

    @property
    def idle(self) -> bool:
        """Whether no request is queued or running (held sequences don't count)."""

    @property
    def pool_use(self) -> float | None:
        """The share of its memory for sequences that they use; None where that isn't known."""
