"""GSM8K: grade-school word problems; its authors' file. The gold answer is the number after `####`, without commas."""

from dsmath.suites.published import Row
from dsmath.suites.suite import Download, Layout, Suite, fields, github, without_commas


def gold(row: Row) -> str:
    """The number after `####`. Raises ValueError where there is none."""
    _, mark, answer = row["answer"].rpartition("####")
    if not mark:
        raise ValueError("the field 'answer' has no ####")
    return without_commas(answer)


SUITE = Suite(
    name="gsm8k",
    title="GSM8K",
    langs=("en",),
    citation="Cobbe et al., Training Verifiers to Solve Math Word Problems, 2021, arXiv:2110.14168",
    size=1319,
    layout=Layout(
        files=(("test.jsonl",),),
        downloads=(
            Download(
                "test.jsonl",
                github(
                    "openai/grade-school-math/3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data/test.jsonl"
                ),
                "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
            ),
        ),
        question=lambda row: row["question"],
        gold=gold,
        meta=fields(),
    ),
)
