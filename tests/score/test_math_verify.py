"""The grader `math_verify`, and that it is optional."""

import subprocess
import sys
import threading

import pytest

from dsmath.error import UserError
from dsmath.records import Verdict
from dsmath.score import math_verify
from dsmath.score.graders import Item, grade, grade_all


def test_verdicts_are_those_of_the_package():
    verdict = grade("math", "", r"So it is \boxed{\sqrt{8}}.", r"The answer is $2\sqrt{2}$.", grader="math_verify")
    assert verdict == Verdict(r"2\sqrt{2}", r"\sqrt{8}", True, "equal")
    assert grade("gsm8k", "", "5", "The answer is $6$.", grader="math_verify").reason == "different"
    assert grade("gsm8k", "", "5", "", grader="math_verify").reason == "no answer"


def test_no_signals_are_needed_so_that_any_thread_can_grade():
    verdicts = []
    thread = threading.Thread(
        target=lambda: verdicts.append(grade("gsm8k", "", "5", "The answer is $5$.", grader="math_verify"))
    )
    thread.start()
    thread.join()
    assert verdicts[0].correct


def test_missing_package_is_one_line_before_the_first_verdict(monkeypatch, tmp_path):
    (tmp_path / "math_verify.py").write_text("raise ImportError('not installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^the grader math_verify needs the package math-verify .*\[grade\]'`$"):
        next(grade_all([Item("gsm8k", "", "5", "5")], grader="math_verify", workers=1))


def test_self_check_refuses_other_verdicts(monkeypatch):
    monkeypatch.setattr(math_verify, "_KNOWN", (("5", "So the answer is $6$.", True),))
    math_verify.check.cache_clear()
    with pytest.raises(UserError, match=r"finds 5 and So the answer is [$]6[$]. different"):
        math_verify.check()
    math_verify.check.cache_clear()


def test_package_is_imported_when_it_is_asked_only():
    code = "import sys, dsmath.score.graders; print('math_verify' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
