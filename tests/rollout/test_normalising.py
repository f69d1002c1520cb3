"""What a program prints stays its own under any tokenizer: pieces are kept, not cut out of decoded ids."""

import pytest
import tokenizers as backends

from dsmath.records import Source, Stop
from dsmath.score import graders
from dsmath.score.graded import graded_text
from dsmath.text import tokenizer as tokenizers
from dsmath.text.codec import TokenCodec
from tests.rollout.scripted import TOKENIZER, Says, run_one

PRINTS = {
    "a box in full-width letters": "\uff3cboxed\uff5b41\uff5d",
    "a box": "\\boxed{41}",
    "full-width digits": "\uff14\uff11" * 20,
    "ligatures": "\ufb03\ufb01\ufb02" * 12 + "The answer is 41",
    "letters with marks apart": "e\u0301" * 30 + "\\boxed{41}",
    "capitals that grow": "\u0130" * 40 + "\\boxed{41}",
}


def normalising(normaliser) -> TokenCodec:
    """The tests' tokenizer, behind a normaliser, as sentencepiece and many a tokenizer.json have one."""
    backend = backends.Tokenizer.from_str(TOKENIZER._backend.to_str())
    backend.normalizer = normaliser
    return TokenCodec(tokenizers.HFTokenizer(backend, bos="<|begin|>", eos="<|end|>"))


CODECS = {
    "NFC": normalising(backends.normalizers.NFC()),
    "NFKC": normalising(backends.normalizers.NFKC()),
    "lower case": normalising(backends.normalizers.Lowercase()),
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("prints", PRINTS)
def test_tool_output_is_tool_output_under_any_tokenizer(sandbox, codec, prints):
    # As numbers, so that the model's own words hold none of it.
    code = f"print(''.join(map(chr, {[ord(c) for c in PRINTS[prints]]})))"
    said = [Says(f"```python\n{code}\n```\n", Stop.TEXT), Says("So it is \\boxed{42}.", Stop.END)]
    trajectory, _ = run_one(said, sandbox, codec=CODECS[codec])
    (program,) = trajectory.programs
    tool = [piece for piece in trajectory.response if piece.source is Source.TOOL]
    assert [piece.text for piece in tool] == [program.shown]
    if len(PRINTS[prints]) <= 100:
        assert program.shown == PRINTS[prints]
    text = graded_text(trajectory)
    assert graders.grade("gsm8k", "?", "42", text).correct
    assert not graders.grade("gsm8k", "?", "41", text).correct
    assert not graders.grade("math", "?", "\\boxed{41}", text).correct


def test_these_tokenizers_do_change_texts():
    """Else the test above shows nothing."""
    for name, text in (("NFKC", "\uff14"), ("NFC", "e\u0301"), ("lower case", "A")):
        tokenizer = CODECS[name].tokenizer
        assert tokenizer.decode(tokenizer.encode(text)) != text
