"""MATH-500 as an index into MATH."""

import collections

import pytest

from dsmath.error import UserError
from dsmath.records import Problem
from dsmath.score import graders
from dsmath.suites import catalogue, math500
from tests.suites.made_up import rows, write

# Problems by subject and level 1 to 5 in PRM800K's math_splits/test.jsonl, as others have counted them.
PUBLISHED = {
    "Algebra": [17, 21, 26, 30, 30],
    "Counting & Probability": [2, 7, 4, 13, 12],
    "Geometry": [2, 8, 8, 10, 13],
    "Intermediate Algebra": [7, 12, 19, 23, 36],
    "Number Theory": [5, 10, 16, 19, 12],
    "Prealgebra": [7, 19, 17, 20, 19],
    "Precalculus": [3, 13, 15, 13, 12],
}


def problem(i: int) -> Problem:
    return Problem(f"math-test-{i}", "math", "en", f"What is\n{i} + {i}?", f"\\boxed{{{2 * i}}}", {"level": "Level 1"})


def test_the_index_names_500_problems():
    assert len(set(math500.INDEX)) == len(math500.INDEX) == 500


def test_problems_are_found_by_their_words_and_come_in_the_index_s_order(monkeypatch):
    problems = [problem(i) for i in range(600)]
    index = [math500.digest(f"What is {i} + {i}?") for i in range(599, 99, -1)]
    monkeypatch.setattr(math500, "INDEX", index)
    found = math500.select(problems, "here")
    assert [p.gold for p in found] == [f"\\boxed{{{2 * i}}}" for i in range(599, 99, -1)]
    assert (found[3].id, found[3].suite, found[3].meta) == ("math500-test-3", "math500", {"level": "Level 1"})
    with pytest.raises(UserError, match="math500 has 500 problems, but 499 were found in here"):
        math500.select(problems[:-1], "here")


def test_a_folder_of_its_own_comes_first_and_maths_is_read_otherwise(tmp_path):
    write(tmp_path, "math", rows("math"))
    with pytest.raises(UserError, match=r"math500 has 500 problems, but 0 were found in .*/math;"):
        catalogue.problems("math500", tmp_path)
    write(tmp_path, "math500", rows("math500"))
    assert catalogue.problems("math500", tmp_path)[0].question == "0: Find $y$."


def test_subjects_and_levels_are_as_published(real_data):
    found = catalogue.problems("math500", real_data)
    counts = collections.Counter((p.meta["type"], p.meta["level"]) for p in found)
    assert {s: [counts[s, f"Level {n}"] for n in range(1, 6)] for s in PUBLISHED} == PUBLISHED
    assert found[0].question.startswith("Convert the point $(0,3)$")


@pytest.mark.parametrize("grader", ["reference", "strict"])
def test_every_gold_solution_is_right_by_itself(real_data, grader):
    found = catalogue.problems("math500", real_data)
    items = [graders.Item(p.suite, p.question, p.gold, p.gold) for p in found]
    verdicts = graders.grade_all(items, grader=grader, workers=1)
    assert [p.id for p, v in zip(found, verdicts, strict=True) if not v.correct] == []
