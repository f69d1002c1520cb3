"""Drafts become examples where their programs and their gold agree, and else are dropped for a reason."""

import dataclasses

import pytest

from dsmath import config
from dsmath.data.source import Draft, Source, Unusable
from dsmath.data.stages import verify
from dsmath.records import Example
from dsmath.records import Source as Writer
from dsmath.sandbox.client import Sandbox

LIMITS = config.Sandbox(timeout_s=1.0, memory_mb=512, output_kb=16, workers=2, required_level="L1")


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


def fenced(code: str) -> str:
    return f"Run:\n```python\n{code}\n```"


def boxed(answer: str) -> str:
    return f"So it is \\boxed{{{answer}}}."


def one(sandbox, mode: str, *turns: str, answer: str | None = "42", question: str = "How much?") -> dict:
    draft = Draft("en", question, turns, answer)
    source = Source("own", "Own", "MIT", "us", (), (), {}, lambda files: iter(()), {mode: lambda row: draft})
    (record,) = verify.examples(source, iter([{"row": "r", "fields": {}}]), (mode,), sandbox)
    return record


@pytest.mark.parametrize(
    ("mode", "turns", "reason"),
    [
        ("cot", (boxed("41"),), "the answer is another one"),
        ("cot", ("It goes without saying.",), "no answer"),
        ("tool", (fenced("print(6 * 8)"), boxed("42")), "the program prints another answer"),
        ("tool", (fenced("print(6 * 7)"), boxed("43")), "the answer is another one"),
        ("tool", (fenced("print(1 / 0)"), boxed("42")), "a program ended in error"),
        ("tool", (fenced("while True: pass"), boxed("42")), "a program ended in timeout"),
        ("tool", (fenced("x = 42"), boxed("42")), "a program prints nothing"),
        ("tool", (fenced("print(input())"), boxed("42")), "a program ended in error"),
        ("tool", ("No program.", boxed("42")), "no program to run"),
        ("tool", (boxed("42"),), "no program to run"),
        ("tool", (fenced("print(40)"), fenced("print(40 + 1)"), boxed("42")), "the program prints another answer"),
        ("pot", (fenced("print(6 * 8)"),), "the program prints another answer"),
        ("pot", (fenced("import os\nos._exit(3)"),), "a program ended in error"),
        ("cot", (boxed("42") + " " * 20_000,), "more than 20000 characters"),
    ],
)
def test_what_disagrees_is_dropped_with_its_reason_and_kept_to_be_looked_at(sandbox, mode, turns, reason):
    record = one(sandbox, mode, *turns)
    assert record["dropped"] == reason
    assert record.get("draft", record)["question"] == "How much?"
    assert "example" not in record


@pytest.mark.parametrize(
    ("mode", "turns"),
    [
        ("cot", (boxed("42.0"),)),
        ("tool", (fenced("print(6 * 7)"), boxed("42"))),
        ("tool", (fenced("a = 6\nprint(a)"), fenced("print('so', a)\nprint(a * 7)"), boxed("42"))),
        ("tool", (fenced("print('The answer is', 84 / 2)"), boxed("42"))),
        ("pot", (fenced("print(6 * 7)"),)),
    ],
)
def test_what_agrees_is_an_example_whose_model_writes_the_turns(sandbox, mode, turns):
    record = one(sandbox, mode, *turns)
    example = Example.from_json(record["example"])
    written = "".join(piece.text for piece in example.solution if piece.source is Writer.MODEL)
    assert written.replace("\n```output", "") == "".join(turns)
    printed = [piece for piece in example.solution if piece.source is Writer.TOOL]
    assert len(printed) == (len(turns) - 1)
    assert (example.answer, example.license, example.row, record["gold"]) == ("42", "MIT", "r", True)


def test_without_a_gold_text_and_program_have_to_agree(sandbox):
    kept = one(sandbox, "tool", fenced("print(6 * 7)"), boxed("42"), answer=None)
    assert (kept["example"]["answer"], kept["gold"]) == ("42", False)
    assert one(sandbox, "tool", fenced("print(6 * 8)"), boxed("42"), answer=None)["dropped"]
    assert one(sandbox, "pot", fenced("print(6 * 8)"), answer=None)["example"]["answer"] == "48"


def test_a_long_output_is_cut_as_in_an_evaluation(sandbox):
    code = "print('7' * 300)\nprint(42)"
    example = Example.from_json(one(sandbox, "tool", fenced(code), boxed("42"))["example"])
    (shown,) = (piece.text for piece in example.solution if piece.source is Writer.TOOL)
    assert shown == "7" * 50 + "..." + "7" * 47 + "\n42"


def test_examples_come_in_the_order_of_rows_and_modes_whatever_their_programs_take(sandbox):
    def draft(row):
        if row["n"] == 3:
            raise Unusable("not this one")
        code = f"import time\ntime.sleep({row['n'] % 2 / 10})\nprint(42)"
        return Draft("en", f"{row['n']}?", (fenced(code), boxed("42")), "42")

    def cot(row):
        return dataclasses.replace(draft(row), turns=(boxed("42"),)) if row["n"] != 4 else None

    source = Source("own", "Own", "MIT", "us", (), (), {}, lambda files: iter(()), {"cot": cot, "tool": draft})
    rows = [{"row": str(n), "fields": {"n": n}} for n in range(8)] + [{"row": "bad", "dropped": "not JSON"}]
    found = list(verify.examples(source, iter(rows), ("cot", "tool"), sandbox))
    expected = [f"own-{n}-{mode}" for n in range(8) for mode in ("cot", "tool") if (n, mode) != (4, "cot")]
    assert [record["id"] for record in found] == expected
    assert [record["id"] for record in found if "dropped" in record] == ["own-3-cot", "own-3-tool"]
