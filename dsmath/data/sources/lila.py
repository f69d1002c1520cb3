"""Lila-OOD's training part: problems of many sets, each with programs that print its answer.

The authors' lila.zip holds `lila/multi/ood/train.json`, an object a line: Input, Output Program (a list of programs),
Output Answer (a list, an answer per program), dataset (the file of the task it is of, which is the topic here). Of the
archive's other files (iid, dev, test, all) none is read. Rows have no solution in words: there is no chain of thought.

The first program that parses is taken, with its answer as the gold. Many tasks are not of school mathematics (code from
APPS, MBPP, Conala): those whose programs ask for input or print nothing drop out as such.

? The layout is as code that reads it has it (the repository's tree names multi/ood/train.json, without the top folder);
a list of objects is read, too. ? The sum is that of the Git LFS pointer at the commit.
"""

import ast

from dsmath.data.source import Draft, Row, Rows, Source, Unusable
from dsmath.data.sources import layouts
from dsmath.records import FENCE, POT
from dsmath.suites.suite import Download, Files
from dsmath.text.template import program

INSIDE = "multi/ood/train.json"


def _rows(files: Files) -> Rows:
    for name, path in files.items():
        if path.suffix != ".zip":
            yield from layouts.records(name, layouts.read(path))
            continue
        members = list(layouts.zip_members(path, INSIDE))
        if not members:
            raise layouts.unreadable(path, f"it has no member {INSIDE}")
        for inside, content in members:
            yield from layouts.records(inside, content)


def _pot(row: Row) -> Draft:
    programs, answers = row["Output Program"], row["Output Answer"]
    if not answers or not str(answers[0]).strip():
        raise Unusable("no answer is given")
    for number, code in enumerate(programs):
        if isinstance(code, str) and code.strip() and FENCE not in code and _parses(code):
            gold = str(answers[number] if len(answers) == len(programs) else answers[0]).strip()
            turn = program(code.strip("\n").rstrip())
            return Draft("en", row["Input"].strip(), (turn,), gold, row["dataset"].removesuffix(".json"))
    raise Unusable("no program that parses")


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


SOURCE = Source(
    name="lila",
    title="Lila-OOD",
    license="CC-BY-4.0",
    citation="Mishra et al., Lila: A Unified Benchmark for Mathematical Reasoning, 2022, arXiv:2210.17517",
    files=(("lila.zip",), (f"lila/{INSIDE}",)),
    downloads=(
        Download(
            "lila.zip",
            "https://github.com/allenai/Lila/raw/b81117ac7e56cc1dfb0fcabf0005d1755177252b/lila.zip",
            "7d1c6974b20d854d963b1d45b6c19a3a7acd9290125b898e2ac372c1298862f2",
        ),
    ),
    fields={"Input": str, "Output Program": list, "Output Answer": list, "dataset": str},
    rows=_rows,
    drafts={POT: _pot},
)
