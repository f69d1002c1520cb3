"""Graders: agreement with the reference, limits, hostile input."""

import subprocess
import sys
import threading
import time

import pytest

from dsmath import journal
from dsmath.error import UserError
from dsmath.score import graders
from dsmath.score.graders import Item, grade, grade_all

HANG = Item("math", "", "\\boxed{5}", "\\boxed{9^{9^{9^9}}}")
NEEDS_SYMPY = Item("math", "", "\\boxed{2x+2}", "\\boxed{2(x+1)}")


def numbered(n):
    return [Item("gsm8k", "", str(i), f"\\boxed{{{i + i % 2}}}") for i in range(n)]


def test_reference_agrees_with_the_reference_on_all_of_its_cases(real_data):
    cases = list(journal.read(real_data / "grader_reference" / "dev.jsonl"))
    assert len(cases) == 10_000
    items = [Item(c["suite"], c["question"], c["gold_source"], c["output"]) for c in cases]
    verdicts = list(grade_all(items, workers=2))
    pairs = list(zip(cases, verdicts, strict=True))
    assert all(v.prediction == c["prediction"] and v.answer == c["answer"] for c, v in pairs)
    assert all(v.correct == c["correct"] for c, v in pairs)


@pytest.mark.parametrize("grader", ["reference", "strict"])
def test_gold_solutions_are_right_by_themselves(real_data, grader):
    rows = list(journal.read(real_data / "math" / "test.jsonl"))
    items = [Item("math", row["problem"], row["solution"], row["solution"]) for row in rows]
    wrong = [v for v in grade_all(items, grader=grader, workers=1) if not v.correct]
    assert len(rows) == 5000
    assert wrong == []


def test_verdict_says_what_was_read_and_who_accepted():
    verdict = grade("gsm8k", "How many?", "1,000", "So it is \\boxed{1000}.")
    assert verdict == graders.Verdict("1000", "1000", True, "close")
    assert grade("gsm8k", "How many?", "5", "\\boxed{6}").reason == "different"
    assert grade("gsm8k", "How many?", "5", "no idea").reason == "no answer"


def test_last_output_block_is_the_answer_of_the_second_score():
    text = "```output\n5\n```\nso it is \\boxed{6}\n```output\n7\n8\n```\nThe answer is 9."
    assert grade("gsm8k", "", "7", text, grader="reference_output") == graders.Verdict("7", "7", True, "close")
    assert grade("math", "", "\\boxed{7}", text, grader="reference_output").prediction == ["7"]
    for suite in ("gsm8k", "math"):
        assert grade(suite, "", "\\boxed{6}", "\\boxed{6}", grader="reference_output").reason == "no answer"


def test_unknown_grader_names_the_known_ones():
    known = "reference, strict, math_verify, reference_output"
    with pytest.raises(UserError, match=f"'lenient'; expected one of: {known}"):
        grade("gsm8k", "", "5", "5", grader="lenient")


@pytest.mark.parametrize("grader", ["reference", "strict"])
def test_pool_equals_grading_alone_in_order_at_any_number_of_workers(grader):
    items = [item for i, plain in enumerate(numbered(12)) for item in ([plain, NEEDS_SYMPY] if i % 4 == 0 else [plain])]
    items.append(Item("math", "", "\\boxed{\\sqrt{7+4\\sqrt{3}}}", "\\boxed{2+\\sqrt{3}}"))
    alone = [grade(item.suite, item.question, item.gold_source, item.output, grader=grader) for item in items]
    assert list(grade_all(items, grader=grader, workers=1)) == alone
    assert list(grade_all(items, grader=grader, workers=2)) == alone


def test_item_that_hangs_in_c_code_costs_itself_only_and_off_the_main_thread_too():
    verdicts = []
    items = [NEEDS_SYMPY, HANG, NEEDS_SYMPY]
    thread = threading.Thread(target=lambda: verdicts.extend(grade_all(items, workers=1, timeout_s=2.0)))
    thread.start()
    thread.join(60)
    assert [v.reason for v in verdicts] == ["symbolic", "timeout", "symbolic"]
    assert verdicts[1] == graders.Verdict(["9^{9^{9^9}}"], ["5"], False, "timeout")


def test_item_over_the_memory_limit_is_wrong_and_the_next_one_is_graded():
    flood = Item("math", "", "\\boxed{5}", "\\boxed{7}" * 2_000_000)
    verdicts = list(grade_all([flood, NEEDS_SYMPY], workers=1, memory_mb=320, timeout_s=10.0))
    assert [v.reason for v in verdicts] == ["died", "symbolic"]


def test_worker_that_refuses_stops_the_run_before_the_first_verdict(monkeypatch, tmp_path):
    """As with another antlr runtime: SymPy asks the package metadata for its version."""
    metadata = tmp_path / "antlr4_python3_runtime-4.13.2.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: antlr4-python3-runtime\nVersion: 4.13.2\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UserError, match="antlr4-python3-runtime"):
        next(grade_all(numbered(3), workers=1))


HOSTILE = {
    "nested braces": "\\boxed{" + "{" * 10_000 + "5" + "}" * 10_000 + "}",
    "nested fractions": "\\boxed{" + "\\frac{" * 1_000 + "5" + "}{2}" * 1_000 + "}",
    "nested brackets": "\\boxed{" + "(" * 4_000 + "5" + ")" * 4_000 + "}",
    "tower": "\\boxed{9^{9^{9^9}}}",
    "long number": "\\boxed{" + "7" * 1_000_000 + "}",
    "long text": "\\boxed{" + "\\text{a" * 150_000 + "}" * 150_000 + "}",
    "long prose": "a 1 " * 250_000,
    "NUL": "\\boxed{5\0}",
    "lone surrogate": "\\boxed{5\ud800}",
    "unclosed": "\\boxed{5" * 10_000,
    "code": "\\boxed{__import__('os').system('touch touched')}",
    "code in an expression": "\\boxed{[open('touched','w')]}",
}

CODE = [
    "the answer is __import__('os').system('touch touched')",
    "$__import__('os').system('touch touched')$",
    "\\boxed{\\text{open('touched','w')}}",
    "5; open('touched', 'w')",
]


@pytest.mark.parametrize("grader", ["reference", "strict"])
def test_hostile_answers_get_verdicts_in_time_and_run_no_code(tmp_path, monkeypatch, grader):
    monkeypatch.chdir(tmp_path)
    items = [Item("math", "", "\\boxed{6}", text) for text in HOSTILE.values()]
    start = time.monotonic()
    verdicts = list(grade_all(items, grader=grader, workers=2, timeout_s=1.0))
    assert len(verdicts) == len(items)
    assert not any(v.correct for v in verdicts)
    assert time.monotonic() - start < 45
    assert list(tmp_path.iterdir()) == []


def test_hostile_answers_to_strict_never_time_out():
    items = [Item("math", "", gold, text) for text in HOSTILE.values() for gold in ("\\boxed{6}", text)]
    verdicts = list(grade_all(items, grader="strict", workers=1))
    assert {v.reason for v in verdicts} <= {"same", "different", "no answer"}


@pytest.mark.parametrize("grader", ["math_verify", "reference_output"])
def test_hostile_answers_to_the_other_graders_cost_themselves_only_and_run_no_code(tmp_path, monkeypatch, grader):
    """Most of the others exceed the time limit under these graders, too."""
    monkeypatch.chdir(tmp_path)
    texts = [HOSTILE[name] for name in ("tower", "NUL", "lone surrogate", "code", "code in an expression")]
    items = [Item("math", "", "\\boxed{6}", f"```output\n{text}\n```") for text in (*texts, *CODE)]
    verdicts = list(grade_all(items, grader=grader, workers=1, timeout_s=1.0))
    assert verdicts[0].reason == "timeout"
    assert not any(v.correct for v in verdicts)
    assert list(tmp_path.iterdir()) == []


def test_nested_brackets_on_both_sides_are_too_deep():
    left, right = "(" * 4_000, ")" * 4_000
    assert grade("gsm8k", "", f"{left}x{right}", f"\\boxed{{{left}y{right}}}").reason == "too deep"


def test_import_takes_neither_jax_nor_sympy():
    code = "import sys, dsmath.score.scoring, dsmath.report.table; print({'jax', 'sympy', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
