"""MATH's training part: competition problems with solutions, as published. The gold is what a solution boxes.

The authors' archive holds a file per problem, `MATH/train/algebra/1004.json`, with its test part beside it, which
isn't read; 7,500 problems in seven subjects. A train.jsonl has the same fields. PRM800K's holds 4,500 of the test
problems, too, and says so in `unique_id`: they are skipped. ? There is a MATH.zip, too; that it has the same paths
inside couldn't be looked up.
"""

from collections.abc import Iterator
from pathlib import Path

from dsmath.data.source import Bad, Draft, Row, Rows, Source
from dsmath.data.sources import golds, layouts
from dsmath.records import COT
from dsmath.suites import math as benchmark
from dsmath.suites import published
from dsmath.suites.suite import Files

assert benchmark.SUITE.layout is not None
INSIDE = "MATH/train/*/*.json"


def _rows(files: Files) -> Rows:
    for name, path in files.items():
        if path.suffix == ".jsonl":
            rows: Rows = layouts.json_lines({name: path})
        else:
            rows = ((inside, layouts.parse(content)) for inside, content in _members(name, path))
        for key, row in rows:
            of_test = not isinstance(row, Bad) and str(row.get("unique_id", "")).startswith("test/")
            yield key, Bad("a problem of the test part") if of_test else row


def _members(name: str, path: Path) -> Iterator[tuple[str, bytes]]:
    if path.suffix == ".json":
        yield name, layouts.read(path)
        return
    members = published.tar_members if path.suffix == ".tar" else layouts.zip_members
    found = sorted((str(inside), content) for inside, content in members(path, INSIDE))
    if not found:
        raise layouts.unreadable(path, f"it has no member {INSIDE}")
    yield from found


def _cot(row: Row) -> Draft:
    gold = golds.boxed(row["problem"], row["solution"])
    return Draft("en", row["problem"], (row["solution"],), gold, topic=row["type"])


SOURCE = Source(
    name="math",
    title="MATH",
    license="MIT",
    citation=benchmark.SUITE.citation,
    files=(("train.jsonl",), ("MATH.tar",), ("MATH.zip",), (INSIDE,)),
    downloads=benchmark.SUITE.layout.downloads,
    fields={"problem": str, "level": str, "type": str, "solution": str},
    rows=_rows,
    drafts={COT: _cot},
)
