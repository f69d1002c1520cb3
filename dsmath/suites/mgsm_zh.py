"""MGSM's Chinese part: 250 problems of GSM8K, translated by people. The gold answer is the string, without commas."""

from dsmath.suites.published import Row
from dsmath.suites.suite import Download, Layout, Suite, fields, github, without_commas


def _question(row: Row) -> str:
    return row["messages"][0]["content"] if "messages" in row else row["question"]


SUITE = Suite(
    name="mgsm_zh",
    title="MGSM-zh",
    langs=("zh",),
    citation="Shi et al., Language Models are Multilingual Chain-of-Thought Reasoners, 2022, arXiv:2210.03057",
    size=250,
    layout=Layout(
        files=(("test.jsonl",), ("mgsm_zh.tsv",)),
        downloads=(
            Download(
                "mgsm_zh.tsv",
                github("google-research/url-nlp/452a21ad3dae5668c06ceeac21ff073e1e40f9be/mgsm/mgsm_zh.tsv"),
                "b2fa63151022370a0de1f4211c8c284eae74b0f5a3b003b1d5982c0d4a73f661",
            ),
        ),
        question=_question,
        gold=lambda row: without_commas(row["answer"]),
        meta=fields(),
    ),
)
