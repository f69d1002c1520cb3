"""Published model-written programs print what they printed when they were published, however many run at a time."""

import json

import pytest

from dsmath import config
from dsmath.tool import programs
from dsmath.tool.sandbox import Exit, Sandbox

CONCURRENCY = (1, 2, 16)


@pytest.fixture(scope="module", params=CONCURRENCY)
def sandbox(request):
    limits = config.Sandbox(timeout_s=2.0, memory_mb=512, output_kb=64, workers=request.param, required_level="L1")
    with Sandbox(limits) as sandbox:
        yield sandbox


def differing(sandbox, path):
    """The rows, by id, whose programs gave something else than what is recorded."""
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    futures = [(row, sandbox.submit(row["code"])) for row in rows]
    return len(rows), {row["id"]: ran for row, future in futures if not same(row["output"], ran := future.result())}


def same(recorded, ran):
    """Whether a program ended as recorded. The record of an error is the last line of its traceback."""
    if recorded.endswith("TimeoutError: 'Timed Out'"):
        return ran.exit is Exit.TIMEOUT
    if ran.exit is not Exit.OK:
        return programs.traceback(ran.stderr).rpartition("\n")[2] == recorded
    return ran.stdout.strip() == recorded


def test_gsm8k_programs_give_their_recorded_outputs(sandbox, real_data):
    assert differing(sandbox, real_data / "programs" / "gsm8k_model_programs.jsonl") == (1318, {})


def test_all_but_one_of_the_sympy_programs_give_their_recorded_outputs(sandbox, real_data):
    total, others = differing(sandbox, real_data / "programs" / "sympy_model_programs.jsonl")
    assert total == 48
    assert len(others) <= 1, others
