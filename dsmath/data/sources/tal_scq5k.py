r"""TAL-SCQ5K, its Chinese training part: 3,000 multiple-choice problems of school competitions, with worked solutions.

JSON Lines; a row has the problem, its options, an analysis and the letter of the answer, which is the gold and gets the
box. Knowledge points, from coarse to fine, give the topic. All formulas are set in `$$`, here in `$`. An analysis that
chooses another option than the answer is left out. Many a problem has lost the blank that was to be filled.
"""

import re

from dsmath.data.source import Draft, Row, Source, Unusable
from dsmath.data.sources.layouts import json_lines
from dsmath.records import COT
from dsmath.suites.suite import Download, github

FILE = "ch_single_choice_constructed_5K/ch_single_choice_train_3K.jsonl"
CONCLUSION = "答案是\\boxed{{{}}}。"
CHOOSES = re.compile(r"(?:故选|答案选|应选|所以选|选择)(?:择|项|答案)?[:：]?\s*\$*(?:\\text\s*\{)?\s*([A-G])\b")
BLANK = re.compile(r"(?:~|\\textasciitilde)*\\uline\s*\{[~\s]*\}(?:~|\\textasciitilde)*")
SPACES = re.compile(r"(?:~|\\textasciitilde)+|[ \t]{2,}")


def _clean(text: str) -> str:
    text = BLANK.sub("____", text.replace("$$$$", "").replace("$$", "$"))
    return SPACES.sub(" ", text).strip()


def _cot(row: Row) -> Draft:
    try:
        options = {option["aoVal"]: _clean(option["content"]) for (option,) in row["answer_option_list"]}
        analysis = "\n".join(filter(None, map(_clean, row["answer_analysis"])))
        routes = [route.split("->") for route in row["knowledge_point_routes"]]
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        raise Unusable("options, analysis or knowledge points of another form") from e
    answer = row["answer_value"].strip()
    if answer not in options:
        raise Unusable("the answer is no option")
    if not analysis:
        raise Unusable("no solution")
    if any(choice != answer for choice in CHOOSES.findall(analysis)):
        raise Unusable("the solution chooses another option")
    question = "\n".join([_clean(row["problem"]), *(f"{letter}. {text}" for letter, text in options.items())])
    turns = (f"{analysis}\n{CONCLUSION.format(answer)}",)
    return Draft("zh", question, turns, answer, _topic(routes))


def _topic(routes: list[list[str]]) -> str:
    """The module of a problem, else its first knowledge point."""
    modules = [point for route in routes for point in route if point.endswith("模块")]
    return next(iter([*modules, *(route[-1] for route in routes)]), "")


SOURCE = Source(
    name="tal_scq5k",
    title="TAL-SCQ5K-CN",
    license="MIT",
    citation="TAL Education Group, TAL-SCQ5K, 2023, github.com/math-eval/TAL-SCQ5K",
    files=((FILE,),),
    downloads=(Download(FILE, github(f"math-eval/TAL-SCQ5K/667a9bf3a0aa9c120a499c813ca59f307a21b09a/{FILE}"), None),),
    fields={
        "problem": str,
        "answer_option_list": list,
        "answer_analysis": list,
        "answer_value": str,
        "knowledge_point_routes": list,
    },
    rows=json_lines,
    drafts={COT: _cot},
)
