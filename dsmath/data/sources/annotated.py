"""Solutions that a model wrote to problems of other sources: what `dsmath annotate` keeps.

DATA_DIR/annotated/*.jsonl has a solution per line:

    question, lang, answer    the problem's, with its gold
    turns                     what the model wrote; in mode "tool" each turn but the last ends with a program
    mode                      "cot", "tool" or "pot"
    source, row               whose problem it is: a source's name, and what names the row in it
    checkpoint, sample        who wrote it: a checkpoint with the fingerprint of its weights, the number of the sample
    license, topic            of the problem's row

Programs' output isn't in it: a preparation runs them again, and drops what does not print its answer any more.
"""

from dsmath.data.source import Convert, Draft, Row, Source, Unusable
from dsmath.data.sources.layouts import json_lines
from dsmath.records import MODES
from dsmath.text.template import INSTRUCTIONS

FIELDS = {
    **{"question": str, "lang": str, "answer": str, "turns": list, "mode": str},
    **{"source": str, "row": str, "checkpoint": str, "sample": int, "license": str, "topic": str},
}


def _drafts(mode: str) -> Convert:
    def draft(row: Row) -> Draft | None:
        if row["mode"] not in MODES:
            raise Unusable("its mode is none of ours")
        if row["mode"] != mode:
            return None
        turns = tuple(row["turns"])
        if not turns or not all(isinstance(turn, str) for turn in turns):
            raise Unusable("its turns are no texts")
        if (row["lang"], mode) not in INSTRUCTIONS:
            raise Unusable("its language is none of ours")
        return Draft(row["lang"], row["question"], turns, row["answer"], row["topic"], row["license"])

    return draft


SOURCE = Source(
    name="annotated",
    title="Annotated",
    license="that of each problem's source",
    citation="this project: solutions sampled by `dsmath annotate`, see dsmath/data/sources/annotated.py",
    files=(("*.jsonl",),),
    downloads=(),
    fields=FIELDS,
    rows=json_lines,
    drafts={mode: _drafts(mode) for mode in MODES},
)
