"""ASDiv: primary-school problems, without the 90 of its 2,305 that have several answers, as in ToRA.

The gold answer is the answer without the unit that follows in parentheses, `9 (apples)`: a number 9 times in 10, else a
ratio (5:6), a fraction, a time, a name or yes and no. Questions are put together as in ToRA's evaluation
(https://github.com/microsoft/ToRA, src/utils/parser.py), whose reading of the answer cuts every parenthesis and leaves
`-` of `-(1/3)`; here that one stays whole.
"""

import re

from dsmath.suites.suite import Download, Layout, Suite, github, without_commas

_UNIT = re.compile(r"(?<=[^\s-])\s*\([^()]*\)\s*$")

SUITE = Suite(
    name="asdiv",
    title="ASDiv",
    langs=("en",),
    citation="Miao et al., A Diverse Corpus for Evaluating and Developing English Math Word Problem Solvers, 2020, ACL",
    size=2215,
    layout=Layout(
        files=(("test.jsonl",), ("ASDiv.xml",)),
        downloads=(
            Download(
                "ASDiv.xml",
                github("chaochun/nlu-asdiv-dataset/883f90a9a65bf00304ba8f37423910fe743abc47/dataset/ASDiv.xml"),
                "ef8904068482919ac48c8eeaaf6df344b8a308ba66d048c2d4d87eab82dc4929",
            ),
        ),
        question=lambda row: f"{row['body'].strip()} {row['question'].strip()}",
        gold=lambda row: without_commas(_UNIT.sub("", row["answer"])),
        meta=lambda row: {"type": row["solution_type"], "formula": row["formula"]},
    ),
)
