"""Published model-written programs print what they printed when they were published, however many run at a time."""

import contextlib
import json

import pytest

from dsmath import config
from dsmath.records import Exit
from dsmath.rollout import programs
from dsmath.sandbox.client import Sandbox

CONCURRENCY = (1, 2, 16)


@contextlib.contextmanager
def sandbox(workers, timeout_s):
    limits = config.Sandbox(timeout_s, memory_mb=512, output_kb=64, workers=workers, required_level="L1")
    with Sandbox(limits) as sandbox:
        yield sandbox


def differing(running, path):
    """The rows, by id, whose programs gave something else than what is recorded."""
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    futures = [(row, running.submit(row["code"])) for row in rows]
    return len(rows), {row["id"]: ran for row, future in futures if not same(row["output"], ran := future.result())}


def same(recorded, ran):
    """Whether a program ended as recorded. The record of an error is the last line of its traceback."""
    if recorded.endswith("TimeoutError: 'Timed Out'"):
        return ran.exit is Exit.TIMEOUT
    if ran.exit is not Exit.OK:
        return programs.traceback(ran.stderr).rpartition("\n")[2] == recorded
    return ran.stdout.strip() == recorded


@pytest.mark.parametrize("workers", CONCURRENCY)
def test_gsm8k_programs_give_their_recorded_outputs(workers, real_data):
    with sandbox(workers, timeout_s=2.0) as running:
        result = differing(running, real_data / "programs" / "gsm8k_model_programs.jsonl")
    assert result == (1318, {})


@pytest.mark.parametrize("workers", CONCURRENCY)
def test_all_but_one_of_the_sympy_programs_give_their_recorded_outputs(workers, real_data):
    with sandbox(workers, timeout_s=15.0) as running:  # the slowest takes some 5 s
        total, others = differing(running, real_data / "programs" / "sympy_model_programs.jsonl")
    assert total == 48
    assert len(others) <= 1, others
