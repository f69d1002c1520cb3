"""Which texts hold a part of a benchmark."""

import random
import re

import pytest

from dsmath.data.stages.ngrams import LONG, Index, words
from dsmath.recipes import BENCHMARKS
from dsmath.suites import catalogue

FULL_WIDTH = str.maketrans({chr(c): chr(c + 0xFEE0) for c in (*range(0x30, 0x3A), *range(0x41, 0x5B))})
CLAUSE = re.compile(r"(?<=[.。？?!！；;])\s*(?![0-9])")
TELLS = "Ana counts stars over the harbour every single night, and tonight she has already seen fourteen of them."


def re_punctuated(text: str) -> str:
    return re.sub(r"(?<!\d)[,.;:?!，。；：？！](?!\d)", " -- ", text).upper()


def re_spaced(text: str) -> str:
    return "\u3000\n".join(re.findall(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+", text))


def reordered(text: str) -> str:
    return " ".join(reversed(CLAUSE.split(text)))


PLANTS = {
    "exact": lambda text: text,
    "re-punctuated": re_punctuated,
    "re-spaced": re_spaced,
    "full-width": lambda text: text.translate(FULL_WIDTH),
    "reordered": reordered,
    "within": lambda text: f"{TELLS} {text} {TELLS}",
}


@pytest.fixture(scope="module")
def benchmarks(real_data):
    return {name: catalogue.problems(name, real_data) for name in BENCHMARKS}


@pytest.fixture(scope="module")
def index(benchmarks):
    return Index((problem.id, problem.question) for problems in benchmarks.values() for problem in problems)


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("suite", BENCHMARKS)
def test_planted_problems_of_every_benchmark_are_found(suite, plant, benchmarks, index):
    chosen = random.Random(0).sample(benchmarks[suite], 100)
    missed = []
    for problem in chosen:
        planted = PLANTS[plant](problem.question)
        keeps = plant != "reordered" or any(len(words(clause)) >= LONG for clause in CLAUSE.split(problem.question))
        if len(words(problem.question)) >= 3 and keeps and index.find(planted) is None:
            missed.append(planted)
    assert missed == []


def test_what_shares_less_is_not_found():
    index = Index([("a", "one two three four five six seven eight nine ten eleven"), ("b", "find the cube of 7")])
    assert index.find("one two three four five six seven eight nine 10 eleven") is None
    assert index.find("please find the cube of 8") is None
    assert index.find("please find the cube of 7 now").problem == "b"
    found = index.find("so: two three four five six seven eight nine ten eleven twelve")
    assert (found.problem, found.rule) == ("a", "10-gram")
    assert index.find("Find the cube of 7!").rule == "exact"


def test_texts_of_fewer_than_three_words_match_nothing():
    assert Index([("a", "Evaluate $1+2$."), ("b", "Go now")]).find("Go now") is None


def test_words_are_those_of_any_script_and_numbers_are_one():
    assert words("Don’t pay $1,234.50 for ５kg!") == ["dont", "pay", "1234.50", "for", "5", "kg"]
    assert words("小明有１２个苹果，\\frac{1}{2}") == [*"小明有", "12", *"个苹果", "frac", "1", "2"]
