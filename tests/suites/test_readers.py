"""A suite's problems, wherever they come from."""

import pytest

from dsmath.error import UserError
from dsmath.suites import readers
from tests.suites.made_up import rows, write


def test_the_limit_gives_the_first_problems(tmp_path):
    write(tmp_path, "cmath", rows("cmath"))
    assert readers.problems("cmath", tmp_path, limit=2) == readers.problems("cmath", tmp_path)[:2]


def test_a_missing_file_is_one_line_that_names_it_and_the_way_out(tmp_path):
    with pytest.raises(UserError, match="--data_dir") as e:
        readers.problems("math", tmp_path)
    assert str(tmp_path / "math" / "test.jsonl") in str(e.value)
    assert "\n" not in str(e.value)


def test_an_unknown_suite_is_told_the_known_ones():
    with pytest.raises(UserError, match=r"unknown suite 'gsm9k'; expected one of: embedded, gsm8k.*mawps"):
        readers.problems("gsm9k", None)


def test_the_embedded_suite_needs_no_folder_and_takes_turns_between_languages():
    problems = readers.problems("embedded", limit=61)
    assert [p.lang for p in problems] == [("en", "zh")[i % 2] for i in range(61)]
    assert readers.problems("embedded", limit=20) == problems[:20]
    assert len(readers.problems("embedded")) == readers.EMBEDDED_PROBLEMS
