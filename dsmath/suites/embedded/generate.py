"""The engine: kinds and wordings in, problems with checked solutions out."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator

from dsmath.error import UserError
from dsmath.records import Problem
from dsmath.suites.embedded.chinese import CHINESE
from dsmath.suites.embedded.english import ENGLISH
from dsmath.suites.embedded.forms import Draw, Kind, Language
from dsmath.suites.embedded.kinds import KINDS
from dsmath.suites.suite import Suite

SUITE = Suite(
    name="embedded",
    title="Embedded",
    langs=("en", "zh"),
    citation="this project: seeded word problems, see dsmath/suites/embedded",
    size=None,
    layout=None,
)
SOME = 200  # problems where no number is given
LANGUAGES = {language.code: language for language in (ENGLISH, CHINESE)}
TEST_SHARE = 8  # one combination of kind and numbers in so many is for testing
MAX_DRAWS = 10_000  # in search of one new combination


@dataclasses.dataclass(frozen=True)
class EmbeddedProblem:
    """A word problem and its solutions, which all end in `answer`."""

    id: str
    lang: str
    template: str
    topic: str
    numbers: tuple[int, ...]
    question: str
    answer: str
    cot: str
    plan: str  # the sentence before a program
    program: str  # prints the answer
    conclusion: str  # the sentence behind it


def generate(split: str, lang: str, n: int, seed: int) -> list[EmbeddedProblem]:
    """The first `n` problems of a split ("train" or "test"), the kinds taking turns; no combination comes twice.

    A smaller `n` gives a prefix of the same list. Raises UserError where a kind has fewer problems than asked for.
    """
    return list(itertools.islice(stream(split, lang, seed), n))


def stream(split: str, lang: str, seed: int) -> Iterator[EmbeddedProblem]:
    """`generate` without an end."""
    seen: set[tuple[str, tuple[int, ...]]] = set()
    for index, kind in enumerate(itertools.cycle(KINDS)):
        r = Draw(f"{seed} {split} {lang} {index}")
        for _ in range(MAX_DRAWS):
            numbers = kind.numbers(r)
            if (kind.name, numbers) not in seen and split_of(kind.name, numbers) == split:
                break
        else:
            raise UserError(f"no more than {index} embedded problems ({lang}, {split}): ask for fewer")
        seen.add((kind.name, numbers))
        yield _problem(f"{SUITE.name}-{lang}-{split}-{index}", kind, LANGUAGES[lang], numbers, r)


def split_of(template: str, numbers: tuple[int, ...]) -> str:
    """The split that a combination belongs to: the same in each language, run and version of Python."""
    digest = hashlib.sha256(f"{template} {numbers}".encode()).digest()
    return "train" if digest[0] % TEST_SHARE else "test"


def to_problem(problem: EmbeddedProblem) -> Problem:
    """A problem to evaluate on."""
    meta = {"template": problem.template, "topic": problem.topic}
    return Problem(problem.id, SUITE.name, problem.lang, problem.question, problem.answer, meta)


def problems(limit: int | None, seed: int) -> list[Problem]:
    """The first `limit` test problems, or SOME: English and Chinese in turn."""
    n = SOME if limit is None else limit
    english, chinese = (generate("test", lang, (n + 1) // 2, seed) for lang in ("en", "zh"))
    pairs = itertools.chain.from_iterable(zip(english, chinese, strict=True))
    return [to_problem(problem) for problem in itertools.islice(pairs, n)]


def _problem(id: str, kind: Kind, language: Language, numbers: tuple[int, ...], r: Draw) -> EmbeddedProblem:
    results = kind.steps(*numbers)
    slots = dict(zip("abcd", numbers, strict=False)) | dict(zip("xyz", results, strict=False))
    wording = language.wordings[kind.name]
    answer = str(results[-1])
    conclusion = language.conclusion.format(answer=answer)
    working = [step.format(**slots) + language.stop for step in kind.working]
    program = kind.program.format(**slots)
    return EmbeddedProblem(
        id=id,
        lang=language.code,
        template=kind.name,
        topic=kind.topic,
        numbers=numbers,
        question=wording.question.format(**slots, who=r.choice(language.names), what=r.choice(language.nouns)),
        answer=answer,
        cot=language.space.join([wording.plan, *working, conclusion]),
        plan=wording.plan,
        program=program,
        conclusion=conclusion,
    )
