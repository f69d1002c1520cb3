"""MATH: competition problems with solutions. The gold answer is the solution, from which graders extract the answer.

The authors' archive isn't in the order of the test.jsonl which is in wide use, so its problems are named by their
files: math-test-algebra-1004.
"""

from pathlib import PurePath

from dsmath.suites.published import Row
from dsmath.suites.suite import Download, Layout, Suite, fields


def _place(row: Row) -> str | None:
    """Of "test/algebra/1004.json": algebra-1004."""
    return "-".join(PurePath(row["unique_id"]).with_suffix("").parts[-2:]) if "unique_id" in row else None


SUITE = Suite(
    name="math",
    title="MATH",
    langs=("en",),
    citation="Hendrycks et al., Measuring Mathematical Problem Solving With the MATH Dataset, 2021, arXiv:2103.03874",
    size=5000,
    layout=Layout(
        files=(("test.jsonl",), ("MATH.tar",)),
        downloads=(
            Download(
                "MATH.tar",
                "https://people.eecs.berkeley.edu/~hendrycks/MATH.tar",
                "0fbe4fad0df66942db6c221cdcc95b298cc7f4595a2f0f518360cce84e90d9ac",
            ),
        ),
        question=lambda row: row["problem"],
        gold=lambda row: row["solution"],
        meta=fields("level", "type"),
        place=_place,
    ),
    gold_is_solution=True,
)
