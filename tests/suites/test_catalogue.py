"""The table of suites, and a suite's problems, wherever they come from."""

import importlib
import pkgutil

import pytest

import dsmath.suites
from dsmath.error import UserError
from dsmath.score import graders
from dsmath.suites import catalogue
from dsmath.suites.embedded import generate
from tests.suites.made_up import rows, write


def test_a_suite_s_file_and_a_line_in_the_table_are_all_that_it_takes():
    modules = [importlib.import_module(f"dsmath.suites.{m.name}") for m in pkgutil.iter_modules(dsmath.suites.__path__)]
    files = {module.SUITE.name: module.SUITE for module in [*modules, generate] if hasattr(module, "SUITE")}
    assert files == catalogue.SUITES
    assert all(module.__name__.endswith(f".{module.SUITE.name}") for module in modules if hasattr(module, "SUITE"))


@pytest.mark.parametrize("suite", [s for s in catalogue.SUITES.values() if s.layout], ids=lambda suite: suite.name)
def test_a_published_suite_has_an_address_for_each_file_of_a_set(suite):
    downloads = suite.layout.downloads
    assert tuple(d.name for d in downloads) in suite.layout.files
    assert all(d.url.startswith("https://") and d.url.endswith(f"/{d.name}") for d in downloads)
    assert all(d.sha256 is None or len(bytes.fromhex(d.sha256)) == 32 for d in downloads)


@pytest.mark.parametrize("grader", ["reference", "strict", "math_verify"])
def test_math500_is_graded_as_math(grader):
    solution = r"The roots are $\boxed{1}$ and $\boxed{\frac{1}{2}}$."
    question = "What are the roots? Enter them separated by commas."
    for output in (r"\boxed{0.5} and \boxed{1}", r"\boxed{2} and \boxed{1}", r"\boxed{1, \frac12}", "none"):
        math, math500 = (graders.grade(s, question, solution, output, grader=grader) for s in ("math", "math500"))
        assert math == math500


def test_unknown_suite_names_the_known_ones():
    with pytest.raises(UserError, match=r"'aime'; expected one of: embedded, gsm8k.*mawps"):
        catalogue.find("aime")


def test_the_limit_gives_the_first_problems(tmp_path):
    write(tmp_path, "cmath", rows("cmath"))
    assert catalogue.problems("cmath", tmp_path, limit=2) == catalogue.problems("cmath", tmp_path)[:2]


def test_a_missing_file_is_one_line_that_names_it_and_the_way_out(tmp_path):
    with pytest.raises(UserError, match="--data_dir") as e:
        catalogue.problems("math", tmp_path)
    assert str(tmp_path / "math" / "test.jsonl") in str(e.value)
    assert "\n" not in str(e.value)


def test_the_embedded_suite_needs_no_folder_and_takes_turns_between_languages():
    problems = catalogue.problems("embedded", limit=61)
    assert [p.lang for p in problems] == [("en", "zh")[i % 2] for i in range(61)]
    assert catalogue.problems("embedded", limit=20) == problems[:20]
    assert len(catalogue.problems("embedded")) == generate.SOME
