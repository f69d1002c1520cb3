"""Who wrote a token: the prompt, the model, or a tool. A token is trained on iff its source says so."""

import dataclasses
import enum


class Source(enum.IntEnum):
    """The writer of a piece of text; stored next to every token id."""

    PROMPT = 0
    MODEL = 1
    TOOL = 2


@dataclasses.dataclass(frozen=True)
class Piece:
    """A stretch of text by one writer."""

    source: Source
    text: str


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Token ids [T] and, for each, its source [T]."""

    ids: tuple[int, ...]
    sources: tuple[Source, ...]

    def __post_init__(self):
        if len(self.ids) != len(self.sources):
            raise ValueError(f"{len(self.ids)} ids but {len(self.sources)} sources")

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.ids + other.ids, self.sources + other.sources)

    def __len__(self) -> int:
        return len(self.ids)
