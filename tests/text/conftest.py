"""Fixtures of the tests of texts."""

import itertools
import json

import pytest


@pytest.fixture(scope="session")
def questions(real_data) -> list[str]:
    """Published questions in English and in Chinese."""
    found = []
    for name in ("gsm8k", "cmath"):
        with (real_data / name / "test.jsonl").open(encoding="utf-8") as file:
            found += [json.loads(line)["question"].strip() for line in itertools.islice(file, 200)]
    assert len(found) == 400
    return found
