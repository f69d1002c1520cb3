"""A real sandbox for the tests of a file."""

import pytest

from dsmath import config
from dsmath.sandbox.client import Sandbox

LIMITS = config.Sandbox(timeout_s=5.0, memory_mb=512, output_kb=64, workers=2, required_level="L1")


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(LIMITS) as sandbox:
        yield sandbox
