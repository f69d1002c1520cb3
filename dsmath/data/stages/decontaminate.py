"""The stage that finds examples which hold a part of a benchmark: in the question, or in what the model would write."""

import dataclasses
from collections.abc import Iterable, Iterator

from dsmath.data.stages.ngrams import Index
from dsmath.data.stages.shards import Record
from dsmath.records import Example, Source

VERSION = 1  # of the rule: part of its files' digest


def index(problems: Iterable[Record]) -> Index:
    """The n-grams of benchmarks' questions, which come as {"id", "question"}."""
    return Index((problem["id"], problem["question"]) for problem in problems)


def contaminated(records: Iterator[Record], found: Index) -> Iterator[Record]:
    """What is to be left out, as {"id", "mode", "dropped", "match", "question"}."""
    for record in records:
        if "example" not in record:
            continue
        example = Example.from_json(record["example"])
        written = "\n".join(piece.text for piece in example.solution if piece.source is Source.MODEL)
        if match := found.find(example.question) or found.find(written):
            suite = match.problem.split("-")[0]
            reason = f"a problem of {suite}" if match.rule == "exact" else f"a {match.rule} of {suite}"
            yield {
                "id": example.id,
                "mode": example.mode,
                "dropped": reason,
                "match": dataclasses.asdict(match),
                "question": example.question,
            }
