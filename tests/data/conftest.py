import pytest

from dsmath.text import tokenizer
from tests.data.made_up import EXAMPLES


@pytest.fixture(scope="session")
def tok():
    return tokenizer.train([e.question + p.text for e in EXAMPLES for p in e.solution], vocab_size=400)
