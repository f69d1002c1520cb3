"""What the rows of the published benchmarks mean: from files to problems.

A suite's gold answer, as its grader wants it:
- GSM8K: the number after `####`; MGSM, CMATH: the string; all without commas, which group digits.
- MATH, MATH-500: the solution.
- SVAMP, MAWPS: the number, without `.0`.
- ASDiv: the answer without the unit that follows in parentheses, `9 (apples)`. A number 9 times in 10, else a ratio
  (5:6), a fraction, a time, a name or yes and no.
SVAMP's and ASDiv's questions are put together, and the parts of MAWPS ordered, as in ToRA's evaluation
(https://github.com/microsoft/ToRA, src/utils/parser.py and data_loader.py). Its reading of ASDiv cuts every
parenthesis, which leaves `-` of `-(1/3)`; here that one stays whole.
"""

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from dsmath.error import UserError
from dsmath.records import Problem
from dsmath.suites import published
from dsmath.suites.published import Row, text

Files = Mapping[str, Path]  # by the names under which they are published

_UNIT = re.compile(r"(?<=[^\s-])\s*\([^()]*\)\s*$")


@dataclasses.dataclass(frozen=True)
class Layout:
    """A suite's files in its folder, and what their rows mean."""

    lang: str
    size: int  # problems
    files: tuple[tuple[str, ...], ...]  # the sets of files that each hold the whole suite
    question: Callable[[Row], str]
    gold: Callable[[Row], str]
    meta: Callable[[Row], Row]
    place: Callable[[Row], str | None] = lambda row: None  # names the row in its file, where its number doesn't


def fields(*names: str) -> Callable[[Row], Row]:
    """The named fields of a row."""
    return lambda row: {name: row[name] for name in names}


def gsm8k_gold(row: Row) -> str:
    """The number after `####`, without commas."""
    _, mark, gold = row["answer"].rpartition("####")
    if not mark:
        raise ValueError("the field 'answer' has no ####")
    return _without_commas(gold)


def _without_commas(text: str) -> str:
    return text.replace(",", "").strip()


def _number(value: Any) -> str:
    """A number as people write it: 145 for 145.0."""
    return str(int(value)) if value == int(value) else repr(float(value))


def _mgsm_question(row: Row) -> str:
    return row["messages"][0]["content"] if "messages" in row else row["question"]


def _svamp_question(row: Row) -> str:
    body = row["Body"].strip()
    return f"{body}{'' if body.endswith('.') else '.'} {row['Question'].strip()}"


def _math_place(row: Row) -> str | None:
    """Of "test/algebra/1004.json": algebra-1004."""
    return "-".join(PurePath(row["unique_id"]).with_suffix("").parts[-2:]) if "unique_id" in row else None


def _math500_meta(row: Row) -> Row:
    return {"level": f"Level {row['level']}", "type": row["subject"]}


_MAWPS_PARTS = ("singleeq", "singleop", "addsub", "multiarith")

LAYOUTS = {
    "gsm8k": Layout("en", 1319, (("test.jsonl",),), lambda row: row["question"], gsm8k_gold, fields()),
    "math": Layout(
        "en",
        5000,
        (("test.jsonl",), ("MATH.tar",)),
        lambda row: row["problem"],
        lambda row: row["solution"],
        fields("level", "type"),
        _math_place,
    ),
    "mgsm_zh": Layout(
        "zh",
        250,
        (("test.jsonl",), ("mgsm_zh.tsv",)),
        _mgsm_question,
        lambda row: _without_commas(row["answer"]),
        fields(),
    ),
    "cmath": Layout(
        "zh",
        1098,
        (("test.jsonl",),),
        lambda row: row["question"],
        lambda row: _without_commas(row["golden"]),
        fields("grade", "reasoning_step", "num_digits"),
    ),
    "math500": Layout(
        "en", 500, (("test.jsonl",),), lambda row: row["problem"], lambda row: row["solution"], _math500_meta
    ),
    "svamp": Layout(
        "en",
        1000,
        (("test.jsonl",), ("SVAMP.json",)),
        _svamp_question,
        lambda row: _number(row["Answer"]),
        lambda row: {"type": row["Type"], "equation": row["Equation"]},
        lambda row: text(row["ID"]),
    ),
    "asdiv": Layout(
        "en",
        2215,
        (("test.jsonl",), ("ASDiv.xml",)),
        lambda row: f"{row['body'].strip()} {row['question'].strip()}",
        lambda row: _without_commas(_UNIT.sub("", row["answer"])),
        lambda row: {"type": row["solution_type"], "formula": row["formula"]},
    ),
    "mawps": Layout(
        "en",
        2065,
        (tuple(f"{part}.jsonl" for part in _MAWPS_PARTS),),
        lambda row: row["input"].strip(),
        lambda row: _number(row["target"]),
        fields(),
    ),
}


def find(suite: str, folder: Path) -> Files:
    """The suite's files in DATA_DIR/SUITE. Raises UserError if they aren't there."""
    sets = LAYOUTS[suite].files
    for names in sets:
        if all((folder / name).is_file() for name in names):
            return {name: folder / name for name in names}
    wanted = " or ".join(" + ".join(str(folder / name) for name in names) for names in sets)
    raise UserError(f"no file {wanted}; expected the published {suite} there; choose another --data_dir")


def read(suite: str, files: Files) -> list[Problem]:
    """The problems that a suite's files hold. Raises UserError if they aren't as many as were published."""
    layout = LAYOUTS[suite]
    found = []
    for name, path in files.items():
        part = PurePath(name).stem if len(files) > 1 else ""

        def problem(number: int, row: Row, part: str = part) -> Problem:
            place = layout.place(row) or str(number - 1)
            return Problem(
                id="-".join(filter(None, (suite, "test", part, place))),
                suite=suite,
                lang=layout.lang,
                question=text(layout.question(row)),
                gold=text(layout.gold(row)),
                meta=layout.meta(row) | ({"type": part} if part else {}),
            )

        found += published.rows(path, problem, format=PurePath(name).suffix)
    check(suite, found, ", ".join(map(str, files.values())))
    return found


def check(suite: str, found: Sequence[Problem], where: str) -> None:
    """Raise UserError unless these are as many problems as were published, each once."""
    size, n = LAYOUTS[suite].size, len({problem.id for problem in found})
    if n != size:
        raise UserError(
            f"{suite} has {size} problems, but {n} were found in {where}; fetch it again or choose another --data_dir "
            "(for a part of a suite, set config.eval.limit)"
        )


def digest(question: str) -> str:
    """Names a question by its words, whatever the white space between them."""
    return hashlib.sha256(" ".join(question.split()).encode()).hexdigest()[:8]
