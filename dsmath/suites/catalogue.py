"""The suites: what is asked, how much of it there is, and who made it."""

import dataclasses

from dsmath.error import UserError


@dataclasses.dataclass(frozen=True)
class Suite:
    """One benchmark."""

    name: str
    title: str
    langs: tuple[str, ...]
    size: int | None  # problems; None: as many as the generator is asked for
    source: str
    citation: str
    gold: str  # how the reference protocol reads the gold answer


SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            name="embedded",
            title="Embedded",
            langs=("en", "zh"),
            size=None,
            source="generated, seeded: dsmath/suites/embedded",
            citation="this project",
            gold="the string",
        ),
        Suite(
            name="gsm8k",
            title="GSM8K",
            langs=("en",),
            size=1319,
            source="https://github.com/openai/grade-school-math",
            citation="Cobbe et al., Training Verifiers to Solve Math Word Problems, 2021, arXiv:2110.14168",
            gold="the string after ####, without commas",
        ),
        Suite(
            name="math",
            title="MATH",
            langs=("en",),
            size=5000,
            source="https://github.com/hendrycks/math",
            citation="Hendrycks et al., Measuring Mathematical Problem Solving With the MATH Dataset, 2021, "
            "arXiv:2103.03874",
            gold="the list of all answers that the solution gives, by the extraction rules for responses",
        ),
        Suite(
            name="mgsm_zh",
            title="MGSM-zh",
            langs=("zh",),
            size=250,
            source="https://github.com/google-research/url-nlp",
            citation="Shi et al., Language Models are Multilingual Chain-of-Thought Reasoners, 2022, arXiv:2210.03057",
            gold="the string, without commas",
        ),
        Suite(
            name="cmath",
            title="CMATH",
            langs=("zh",),
            size=1098,
            source="https://github.com/XiaoMi/cmath",
            citation="Wei et al., CMATH: Can Your Language Model Pass Chinese Elementary School Math Test?, 2023, "
            "arXiv:2306.16636",
            gold="the string, without commas",
        ),
        Suite(
            name="math500",
            title="MATH-500",
            langs=("en",),
            size=500,
            source="https://github.com/openai/prm800k",
            citation="Lightman et al., Let's Verify Step by Step, 2023, arXiv:2305.20050; problems of MATH's test set",
            gold="as of MATH",
        ),
        Suite(
            name="svamp",
            title="SVAMP",
            langs=("en",),
            size=1000,
            source="https://github.com/arkilpatel/SVAMP",
            citation="Patel et al., Are NLP Models really able to Solve Simple Math Word Problems?, 2021, "
            "arXiv:2103.07191",
            gold="the number",
        ),
        Suite(
            name="asdiv",
            title="ASDiv",
            langs=("en",),
            size=2215,
            source="https://github.com/chaochun/nlu-asdiv-dataset",
            citation="Miao et al., A Diverse Corpus for Evaluating and Developing English Math Word Problem Solvers, "
            "2020, ACL; without the 90 of its 2,305 problems that have several answers, as in ToRA",
            gold="the answer without its unit; 131 are no plain numbers, but ratios, fractions, times, names",
        ),
        Suite(
            name="mawps",
            title="MAWPS",
            langs=("en",),
            size=2065,
            source="https://github.com/microsoft/ToRA",
            citation="Koncel-Kedziorski et al., MAWPS: A Math Word Problem Repository, 2016, NAACL; "
            "the parts SingleEq, SingleOp, AddSub, MultiArith, as in ToRA",
            gold="the number",
        ),
    )
}
SOLUTIONS = ("math", "math500")  # their gold is a solution, and their answers are lists under the reference protocol


def find(name: str) -> Suite:
    """The suite of that name. Raises UserError if there is none."""
    if name not in SUITES:
        raise UserError(f"no suite is named {name!r}; expected one of: {', '.join(SUITES)}")
    return SUITES[name]
