"""CMATH: Chinese primary-school problems by grade. The gold answer is the string, without commas.

The file is that of DeepSeekMath's evaluation, as the authors' own repository has 600 problems of 1,698 only.
"""

from dsmath.suites.suite import Download, Layout, Suite, fields, github, without_commas

SUITE = Suite(
    name="cmath",
    title="CMATH",
    langs=("zh",),
    citation="Wei et al., CMATH: Can Your Language Model Pass Chinese Elementary School Math Test?, 2023, "
    "arXiv:2306.16636",
    size=1098,
    layout=Layout(
        files=(("test.jsonl",),),
        downloads=(
            Download(
                "test.jsonl",
                github(
                    "deepseek-ai/DeepSeek-Math/21cc5c6701a708a11cee0af8b1fe884e3294dc7a/"
                    "evaluation/datasets/cmath/test.jsonl"
                ),
                None,
            ),
        ),
        question=lambda row: row["question"],
        gold=lambda row: without_commas(row["golden"]),
        meta=fields("grade", "reasoning_step", "num_digits"),
    ),
)
