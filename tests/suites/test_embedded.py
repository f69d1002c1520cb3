"""The generator of embedded problems."""

import re
import subprocess
import sys

import pytest

from dsmath.error import UserError
from dsmath.suites.embedded import generate
from dsmath.suites.embedded.kinds import KINDS

LANGUAGES = ("en", "zh")
BOXED = re.compile(r"\\boxed\{(.*?)\}")
EQUATION = re.compile(r"([\d.]+(?: [-+*/%] [\d.]+)+) = ([\d.]+)(?=[.。](?:\D|$))")


def all_problems(n: int = 3 * len(KINDS)) -> list[generate.EmbeddedProblem]:
    return [p for lang in LANGUAGES for split in ("train", "test") for p in generate.generate(split, lang, n, seed=0)]


def test_there_are_at_least_24_templates_a_language_over_all_topics():
    topics = {"arithmetic", "fractions", "percent", "rates", "ages", "geometry", "averages", "remainders"}
    for lang in LANGUAGES:
        problems = generate.generate("train", lang, 200, seed=0)
        assert len({p.template for p in problems}) >= 24
        assert {p.topic for p in problems} == topics | {"linear equations"}
        assert set(generate.LANGUAGES[lang].wordings) == {kind.name for kind in KINDS}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_smaller_number_of_problems_is_a_prefix_and_the_seed_decides(lang):
    problems = generate.generate("train", lang, 100, seed=3)
    assert generate.generate("train", lang, 40, seed=3) == problems[:40]
    assert generate.generate("train", lang, 40, seed=4) != problems[:40]


def test_problems_do_not_change_between_versions():
    problem = generate.generate("test", "en", 1, seed=0)[0]
    assert (problem.id, problem.numbers) == ("embedded-en-test-0", (228, 49))


def test_train_and_test_share_no_combination_in_any_language_or_seed():
    combinations = {
        split: {
            (p.template, p.numbers)
            for lang in LANGUAGES
            for seed in (0, 1)
            for p in generate.generate(split, lang, 3000, seed)
        }
        for split in ("train", "test")
    }
    assert not combinations["train"] & combinations["test"]
    assert all(generate.split_of(*c) == split for split, several in combinations.items() for c in several)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_question_comes_twice_in_a_split(lang):
    problems = generate.generate("test", lang, 1000, seed=0)
    assert len({p.question for p in problems}) == len(problems)
    assert len({p.id for p in problems}) == len(problems)


def test_more_problems_than_a_kind_has_is_an_error_that_says_how_many_there_are(monkeypatch):
    monkeypatch.setattr(generate, "MAX_DRAWS", 1)
    with pytest.raises(UserError, match=r"no more than \d+ embedded problems \(en, test\)"):
        generate.generate("test", "en", 1000, seed=0)


def test_every_program_prints_the_answer():
    problems = all_problems()
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(p.program for p in problems)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [p.answer for p in problems]


def test_programs_are_assignments_and_one_print():
    for p in all_problems():
        *assignments, last = p.program.splitlines()
        assert re.fullmatch(r"print\(.+\)", last), p.program
        assert all(re.fullmatch(r"[xyz] = [\dxyz +*/%()-]+", line) for line in assignments), p.program


def test_both_solutions_end_in_the_boxed_answer():
    for p in all_problems():
        assert BOXED.findall(p.cot) == [p.answer]
        assert BOXED.findall(p.conclusion) == [p.answer]
        assert p.cot.rstrip(".。").endswith("}")


def test_every_equation_of_a_chain_of_thought_is_true_and_the_last_gives_the_answer():
    for p in all_problems():
        equations = EQUATION.findall(p.cot)
        assert equations, p.cot
        assert all(eval(left) == float(right) for left, right in equations), p.cot
        assert equations[-1][1] == p.answer


def test_questions_name_the_numbers_in_order_and_are_short():
    for p in all_problems():
        found = [int(n) for n in re.findall(r"\d+", p.question)]
        assert found == list(p.numbers), p.question
        assert len(p.question.split()) <= 35
        assert len(p.question) <= (190 if p.lang == "en" else 60)


def test_a_problem_is_what_is_asked_and_its_answer():
    p = generate.generate("test", "zh", 5, seed=0)[4]
    problem = generate.to_problem(p)
    assert (problem.suite, problem.lang, problem.question, problem.gold) == ("embedded", "zh", p.question, p.answer)
    assert problem.meta == {"template": p.template, "topic": p.topic}
