"""Benchmarks as problems: GSM8K, MATH, MGSM-zh and CMATH from a folder of published files, and the embedded suite."""

import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from dsmath import journal
from dsmath.data.embedded import generate
from dsmath.data.example import Problem
from dsmath.error import UserError

log = logging.getLogger(__name__)

EMBEDDED_PROBLEMS = 200  # of the embedded suite where no limit is given

Row = dict[str, Any]
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Layout:
    """A suite's files, `DATA_DIR/<suite>/<split>.jsonl`, and what their rows mean."""

    lang: str
    question: Callable[[Row], str]
    gold: Callable[[Row], str]
    meta: tuple[str, ...]  # fields that are passed on


def gsm8k_gold(row: Row) -> str:
    """The number after `####`, without commas."""
    _, mark, gold = row["answer"].rpartition("####")
    if not mark:
        raise ValueError("the field 'answer' has no ####")
    return _number(gold)


def text(value: Any) -> str:
    """`value`, which must be a string that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a text, got {value!r}")
    return value


def _number(text: str) -> str:
    return text.replace(",", "").strip()


LAYOUTS = {
    "gsm8k": Layout("en", lambda row: row["question"], gsm8k_gold, ()),
    "math": Layout("en", lambda row: row["problem"], lambda row: row["solution"], ("level", "type")),
    "mgsm_zh": Layout("zh", lambda row: row["messages"][0]["content"], lambda row: _number(row["answer"]), ()),
    "cmath": Layout(
        "zh", lambda row: row["question"], lambda row: _number(row["golden"]), ("grade", "reasoning_step", "num_digits")
    ),
}
SUITES = ("embedded", *LAYOUTS)


def problems(
    suite: str, data_dir: Path | None = None, split: str = "test", *, limit: int = 0, seed: int = 0
) -> list[Problem]:
    """The first `limit` problems of a suite, all for 0.

    "embedded" needs no `data_dir`; `seed` is its own, its problems are English and Chinese in turn, and 0 gives
    EMBEDDED_PROBLEMS of them. A row that is no JSON or lacks a field is skipped and logged with file and line.
    Raises UserError for an unknown suite and for a file that is missing or holds no problem.
    """
    if suite == "embedded":
        return _embedded(split, limit or EMBEDDED_PROBLEMS, seed)
    if suite not in LAYOUTS:
        raise UserError(f"unknown suite {suite!r}; expected one of: {', '.join(SUITES)}")
    layout = LAYOUTS[suite]
    path = suite_file(suite, data_dir, split)

    def problem(line: int, row: Row) -> Problem:
        return Problem(
            id=f"{suite}-{split}-{line - 1}",
            suite=suite,
            lang=layout.lang,
            question=text(layout.question(row)),
            gold=text(layout.gold(row)),
            meta={field: row[field] for field in layout.meta},
        )

    found = list(itertools.islice(rows(path, problem), limit or None))
    if not found:
        raise UserError(f"no problems in {path}; expected JSON Lines of the suite {suite}; choose another --data_dir")
    return found


def suite_file(suite: str, data_dir: Path | None, split: str) -> Path:
    """The file of a suite's split. Raises UserError if it can't be there."""
    if data_dir is None:
        raise UserError(f"{suite} is read from published files; give their folder with --data_dir")
    path = Path(data_dir) / suite / f"{split}.jsonl"
    if not path.is_file():
        raise UserError(f"no file {path}; expected the {split} set of {suite} there; choose another --data_dir")
    return path


def rows(path: Path, convert: Callable[[int, Row], T]) -> Iterator[T]:
    """`convert(line number, row)` of each row of a JSON Lines file.

    A row that `convert` raises KeyError, TypeError or the like for (a field is missing or of another type) is skipped,
    counted and logged with file and line.
    """
    bad = 0
    for line, row in journal.numbered(path):
        try:
            converted = convert(line, row)
        except KeyError as e:
            bad += 1
            log.warning("%s:%d: skipped, the field %s is missing", path, line, e)
        except (AttributeError, IndexError, TypeError, ValueError) as e:
            bad += 1
            log.warning("%s:%d: skipped, not a row of this data set (%s)", path, line, e)
        else:
            yield converted
    if bad:
        log.warning("%s: skipped %d row%s without the expected fields", path, bad, "s" * (bad > 1))


def _embedded(split: str, n: int, seed: int) -> list[Problem]:
    english = generate.generate(split, "en", (n + 1) // 2, seed)
    chinese = generate.generate(split, "zh", (n + 1) // 2, seed)
    pairs = itertools.chain.from_iterable(zip(english, chinese, strict=True))
    return [generate.to_problem(p) for p in itertools.islice(pairs, n)]
