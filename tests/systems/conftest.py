"""A real sandbox, and a tokenizer that has the special tokens of every system."""

import pytest
import tokenizers

from dsmath import config
from dsmath.sandbox.client import Sandbox
from dsmath.systems.roster import SYSTEMS
from dsmath.text import tokenizer
from dsmath.text.codec import TokenCodec
from dsmath.text.template import EXAMPLES, Special, Template

LIMITS = config.Sandbox(timeout_s=5.0, memory_mb=512, output_kb=64, workers=2, required_level="L1")


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


def names(template: Template) -> set[str]:
    """Of its special tokens."""
    fields = ("system", "before", "after", "ends", "stops", "asks", "output_before", "output_after")
    parts = {part for field in fields for part in getattr(template, field)}
    return {part.name for part in parts if isinstance(part, Special) and part.name.strip() and part != EXAMPLES}


@pytest.fixture(scope="session")
def codec(tmp_path_factory) -> TokenCodec:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.train(["user assistant system print(12)\n```python\n``` \\boxed{42} is it"] * 4, vocab_size=320).save(
        folder
    )
    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    templates = [way.template for system in SYSTEMS.values() for way in system.ways.values()]
    ends = {template.end for template in templates if template.end} | {"<|action_start|>"}
    backend.add_special_tokens(sorted(set().union(*map(names, templates)) | ends))
    backend.save(str(folder / "tokenizer.json"))
    return TokenCodec(tokenizer.load(folder))
