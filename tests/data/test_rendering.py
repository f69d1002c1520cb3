"""An example as a person reads it."""

import pytest

from dsmath.data.rendering import STYLES, rendered
from dsmath.records import Example, Source
from dsmath.text import template
from dsmath.text.codec import TokenCodec
from tests.train.conftest import make_tokenizer

SOLUTION = template.with_program("Let us run it.", "print(6 * 7)", "42", "So it is 42.")
EXAMPLE = Example("own-1-tool", "own", "en", "tool", "How much?", SOLUTION, "42", "1", "MIT", "products")


@pytest.mark.parametrize("name", template.TEMPLATES)
def test_each_writer_has_a_colour_and_nothing_is_left_out(name):
    found = template.find(name)
    text = rendered(EXAMPLE, found, None)
    spans: dict[str, str] = {}
    for span in text.spans:
        spans[str(span.style)] = spans.get(str(span.style), "") + text.plain[span.start : span.end]
    written = {source: "".join(p.text for p in SOLUTION if p.source is source) for source in Source}
    assert spans[STYLES[Source.MODEL]] == found.lead + written[Source.MODEL]
    assert spans[STYLES[Source.TOOL]] == "42"
    assert spans[STYLES[Source.FRAME]] == written[Source.FRAME]
    assert "How much?" in spans[STYLES[Source.PROMPT]]


def test_tokens_are_counted_by_writer():
    codec = TokenCodec(make_tokenizer())
    pieces = codec.example(EXAMPLE, template.TEMPLATES["reference"])
    model = sum(len(piece.ids) for piece in pieces if piece.source is Source.MODEL)
    assert f"{model} tokens by model" in rendered(EXAMPLE, template.TEMPLATES["reference"], codec).plain
