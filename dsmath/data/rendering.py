"""An example as a person reads it: who writes what, and what is trained on."""

import collections

import rich.text

from dsmath.records import Example, Piece, Source
from dsmath.text.codec import TokenCodec
from dsmath.text.template import Special, Template

STYLES = {Source.PROMPT: "dim", Source.MODEL: "green", Source.TOOL: "yellow", Source.FRAME: "dim yellow"}


def rendered(example: Example, template: Template, codec: TokenCodec | None) -> rich.text.Text:
    """An example with all that a model sees of it: green what it is trained to write, yellow what programs printed.

    With a codec, the tokens of each writer are counted.
    """
    pieces = _pieces(example, template) if codec is None else codec.example(example, template)
    about = [f"{example.mode}, {example.lang}, {example.license}", *filter(None, [example.topic])]
    if codec is not None:
        counts = collections.Counter(piece.source for piece in pieces for _ in piece.ids or ())
        about.append(", ".join(f"{n} tokens by {source.name.lower()}" for source, n in sorted(counts.items())))
    text = rich.text.Text().append(f"{example.id} ({'; '.join(about)})\n", style="bold")
    for piece in pieces:
        text.append(piece.text, style=STYLES[piece.source])
    return text.append(f"\n= {example.answer}\n", style="bold")


def _pieces(example: Example, template: Template) -> list[Piece]:
    parts = template.prompt(example.question, lang=example.lang, mode=example.mode)
    prompt = "".join(part.name if isinstance(part, Special) else part for part in parts)
    first, *rest = example.solution
    return [Piece(Source.PROMPT, prompt), Piece(first.source, template.lead + first.text), *rest]
