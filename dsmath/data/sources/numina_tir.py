"""NuminaMath-TIR: competition problems with tool-integrated solutions, sampled from GPT-4 (72,441 rows, Parquet).

A solution is prose, ```python fences and ```output fences; the third column, `messages`, holds the same texts again.
Recorded outputs are thrown away, programs run again here. The gold is what the solution boxes: the authors kept what
agrees with the problem's answer, which they don't publish here. Problems are of NuminaMath-CoT (contests, forums,
school sets, problems made after GSM8K's and MATH's); rows don't say which.
"""

from dsmath.data.source import Draft, Row, Source
from dsmath.data.sources import fences, golds
from dsmath.data.sources.layouts import parquet
from dsmath.records import TOOL
from dsmath.suites.suite import Download

FILE = "data/train-00000-of-00001.parquet"


def _tool(row: Row) -> Draft:
    turns = fences.turns(row["solution"], fences.FENCES)
    return Draft("en", row["problem"].strip(), turns, golds.boxed(row["problem"], turns[-1]))


SOURCE = Source(
    name="numina_tir",
    title="NuminaMath-TIR",
    license="Apache-2.0",
    citation=(
        "Li et al., NuminaMath: The largest public dataset in AI4Maths with 860k pairs of competition math problems "
        "and solutions, 2024, github.com/project-numina/aimo-progress-prize"
    ),
    files=((FILE,),),
    downloads=(
        Download(
            FILE,
            "https://huggingface.co/datasets/AI-MO/NuminaMath-TIR/resolve/"
            f"77a91d7b7a1a98ac4b1beb7d86c09d156b935dcd/{FILE}",
            None,
        ),
    ),
    fields={"problem": str, "solution": str},
    rows=parquet,
    drafts={TOOL: _tool},
)
