"""Between texts and tokens: the part of a generator that knows how text becomes what it works on.

A piece keeps its text as it was written; ids are beside it. Where a tokenizer normalises, its ids decode to another
text, and nobody asks it for the one that is known.
"""

from collections.abc import Sequence
from typing import Protocol

from dsmath.records import Example, Piece, Source
from dsmath.text.template import APART, BEGIN, Part, Special, Template, written
from dsmath.text.tokenizer import Tokenizer

_TOKEN_CHARS = 4  # of English text and of tracebacks, on average
_UNFINISHED = "\ufffd"  # what an incomplete UTF-8 sequence decodes to


class Codec(Protocol):
    """What a rollout asks of a generator's tokenisation. One that knows text alone leaves out the ids."""

    def encode(self, source: Source, parts: Sequence[Part]) -> Piece:
        """Texts and special tokens as a piece."""

    def cut(self, piece: Piece, length: int) -> Piece:
        """The first `length` characters of a piece. Tokens are dropped, never made anew but where the cut is in one."""

    def join(self, first: Piece, second: Piece) -> Piece:
        """Two pieces that one writer wrote without a pause. The second may begin within a character of the first."""

    def clip(self, text: str, tokens: int) -> str:
        """A text that is longer than so many tokens, as its first and last half of them."""


class TokenCodec:
    """The codec of a tokenizer."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer

    def encode(self, source: Source, parts: Sequence[Part]) -> Piece:
        """Texts and special tokens as a piece with its ids. Raises UserError for a special token that isn't there.

        A prompt begins a sequence; everything else goes on from what came before it.
        """
        ids: list[int] = []
        begins = source is Source.PROMPT
        for part in parts:
            if isinstance(part, str):
                ids.extend(self.tokenizer.encode(part, begins=begins))
                begins = begins and not part
            elif part in (BEGIN, APART):
                if part == BEGIN and self.tokenizer.bos is not None and ids[-1:] != [self.tokenizer.bos]:
                    ids.append(self.tokenizer.bos)
                begins = True
            else:
                ids.append(self.tokenizer.special(part.name))
                begins = self.tokenizer.begins_behind_special
        return Piece(source, written(parts), tuple(ids))

    def cut(self, piece: Piece, length: int) -> Piece:
        """The first `length` characters of a piece; only where the cut lies within a token, text is encoded again."""
        text = piece.text[:length]
        if text == piece.text:
            return piece
        ids = _ids(piece)
        while not text.startswith(whole := self.tokenizer.decode(ids)):
            ids = ids[:-1]
        return Piece(piece.source, text, ids + self.tokenizer.encode(text[len(whole) :]))

    def join(self, first: Piece, second: Piece) -> Piece:
        """Two pieces of one writer as one."""
        ids = _ids(first) + _ids(second)
        torn = first.text.endswith(_UNFINISHED)
        return Piece(first.source, self.tokenizer.decode(ids) if torn else first.text + second.text, ids)

    def clip(self, text: str, tokens: int) -> str:
        """A text that is longer than so many tokens, as its first and last half of them."""
        ids = self.tokenizer.encode(text)
        if len(ids) <= tokens:
            return text
        half = tokens // 2
        return f"{self.tokenizer.decode(ids[:half]).strip()} ... {self.tokenizer.decode(ids[-half:]).strip()}"

    def example(self, example: Example, template: Template) -> tuple[Piece, ...]:
        """All that a training example holds: the prompt, then the solution as an evaluation would see it written."""
        prompt = self.encode(Source.PROMPT, template.prompt(example.question, lang=example.lang, mode=example.mode))
        first, *rest = example.solution
        texts = [Piece(first.source, template.lead + first.text), *rest]
        solution = [self.encode(piece.source, (piece.text,)) for piece in texts]
        return prompt, *solution, Piece(Source.MODEL, "", (end_token(template, self.tokenizer),))


class TextCodec:
    """Of one that knows text alone: a server, which has its own tokenizer."""

    def encode(self, source: Source, parts: Sequence[Part]) -> Piece:
        """Texts and special tokens as a piece; a special token stands by its name."""
        return Piece(source, written(parts))

    def cut(self, piece: Piece, length: int) -> Piece:
        """The first `length` characters of a piece."""
        return Piece(piece.source, piece.text[:length])

    def join(self, first: Piece, second: Piece) -> Piece:
        """Two pieces of one writer as one."""
        return Piece(first.source, first.text + second.text)

    def clip(self, text: str, tokens: int) -> str:
        """A text that is longer than so many tokens, counted by characters, as its first and last half of them."""
        half = tokens // 2 * _TOKEN_CHARS
        return text if len(text) <= 2 * half else f"{text[:half].strip()} ... {text[-half:].strip()}"


def end_token(template: Template, tokenizer: Tokenizer) -> int:
    """The id that ends the model's turn."""
    return tokenizer.eos if template.end is None else tokenizer.special(template.end)


def end_tokens(template: Template, tokenizer: Tokenizer) -> frozenset[int]:
    """The ids at which generation stops: the end of a turn or of a sequence, and what else ends or asks."""
    others = (tokenizer.special(part.name) for part in template.stops + template.ends if isinstance(part, Special))
    return frozenset((end_token(template, tokenizer), *tokenizer.ends, *others))


def _ids(piece: Piece) -> tuple[int, ...]:
    if piece.ids is None:
        raise ValueError(f"a piece without ids: {piece.text!r}; expected one that this codec made")
    return piece.ids
