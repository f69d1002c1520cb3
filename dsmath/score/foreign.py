"""Files of outputs, our own plain form and other people's, as one kind of record.

A record holds suite, question, output and gold_source; further fields stay as they are. The form of each row is told by
its fields:

- plain, JSON Lines: question, output, gold_source, and if need be suite;
- DeepSeekMath's predictions.json, a JSON list: messages, model_output, answer, reference, dataset, accuracy;
- ToRA's outputs, JSON Lines with a line per problem: question, gt, gt_cot, and code, a list of one response per sample.

The gold of MATH is its solution, from which the grader extracts the answer: `reference` there, `gt_cot` here.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dsmath.error import UserError
from dsmath.score.strict import extraction
from dsmath.suites import catalogue, gsm8k

Record = dict[str, Any]

LONGEST_GOLD = 200  # characters of a short answer

# What DeepSeekMath's evaluation calls the suites (configs/zero_shot_test_configs.json there).
DATASETS = {"gsm8k-test": "gsm8k", "math-test": "math", "mgsm-zh": "mgsm_zh", "cmath": "cmath"}


def read(path: Path, suite: str | None = None) -> Iterator[Record]:
    """The records of a file, in its order; a ToRA line gives one per sample.

    `suite` is for rows that don't say theirs. Raises UserError with the line (of a list, the item) for a row that is no
    JSON object, lacks a field, or is of an unknown suite.
    """
    if suite is not None:
        catalogue.find(suite)
    for where, row in _rows(Path(path)):
        for record in _form(row)(row, suite, where):
            _check_suite(record, where)
            yield record | {"gold_source": _gold(record, where)}


def _rows(path: Path) -> Iterator[tuple[str, Record]]:
    """The objects of a JSON list or of JSON Lines, each with the place where it stands."""
    try:
        with open(path, "rb") as file:
            if file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
                file.seek(0)
                values = enumerate(_json(file.read(), str(path)), 1)
                places = ((f"{path}, item {number}", value) for number, value in values)
            else:
                file.seek(0)
                lines = ((f"{path}:{number}", line) for number, line in enumerate(file, 1) if line.strip())
                places = ((where, _json(line, where)) for where, line in lines)
            for where, value in places:
                if not isinstance(value, dict):
                    raise UserError(f"{where} is {type(value).__name__}; expected a JSON object per output")
                yield where, value
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}; give a file of outputs with --outputs") from e


def _json(text: bytes, where: str) -> Any:
    try:
        return json.loads(text.decode("utf-8-sig"))
    except ValueError as e:
        raise UserError(f"{where} is not JSON ({e}); expected JSON Lines or one JSON list") from e


def _form(row: Record) -> Callable[[Record, str | None, str], list[Record]]:
    if {"question", "output", "gold_source"} <= row.keys():
        return _plain
    if "model_output" in row:
        return _deepseek
    return _tora if "code" in row and "output" not in row else _plain


def _plain(row: Record, suite: str | None, where: str) -> list[Record]:
    texts = {name: _text(row, name, where) for name in ("question", "output", "gold_source")}
    return [{**row, "suite": row.get("suite", suite), **texts}]


def _deepseek(row: Record, suite: str | None, where: str) -> list[Record]:
    """The question is the message before the assistant's, suffix included; `accuracy` is their verdict."""
    suite = DATASETS.get(str(row.get("dataset")), suite)
    messages = _list(row, "messages", where)
    try:
        question = _text(messages[-2], "content", where)
    except (IndexError, KeyError, TypeError) as e:
        raise UserError(f"{where} has no question in 'messages'; expected it in the last but one's 'content'") from e
    gold = "reference" if suite == "math" else "answer"
    if isinstance(row.get(gold), list):  # the chain-of-thought script writes one text per assistant turn
        row = {**row, gold: "\n".join(_strings(row, gold, where))}
    record = {
        "id": row.get("id"),
        "suite": suite,
        "question": question,
        "gold_source": _text(row, gold, where),
        "output": _text(row, "model_output", where),
    }
    return [record | _published(row.get("accuracy"))]


def _tora(row: Record, suite: str | None, where: str) -> list[Record]:
    """`code` holds the whole responses, outputs of programs included; `score`, if it is there, their verdicts."""
    suite = row.get("suite", suite)
    problem = {
        "id": row.get("idx"),
        "suite": suite,
        "question": _text(row, "question", where),
        "gold_source": _text(row, "gt_cot" if suite in catalogue.SOLUTIONS else "gt", where),
    }
    outputs = _strings(row, "code", where)
    verdicts = _list(row, "score", where) if "score" in row else [None] * len(outputs)
    if len(verdicts) != len(outputs):
        raise UserError(f"{where} has {len(verdicts)} values in 'score'; expected {len(outputs)}, as in 'code'")
    return [
        {**problem, "sample": sample, "output": output, **_published(verdict)}
        for sample, (output, verdict) in enumerate(zip(outputs, verdicts, strict=True))
    ]


def _published(verdict: Any) -> Record:
    return {} if verdict is None else {"published_correct": bool(verdict)}


def _text(row: Record, name: str, where: str) -> str:
    """A field that is a text; a number is taken as it is written."""
    if name not in row:
        raise UserError(f"{where} lacks {name!r}; expected question, output and gold_source, or a form of --help")
    value = row[name]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise UserError(f"{where} has {type(value).__name__} for {name!r}; expected a text")
    return value


def _list(row: Record, name: str, where: str) -> list:
    if not isinstance(row.get(name), list):
        raise UserError(f"{where} lacks {name!r}; expected a list there")
    return row[name]


def _strings(row: Record, name: str, where: str) -> list[str]:
    values = _list(row, name, where)
    if not all(isinstance(value, str) for value in values):
        raise UserError(f"{where} has something else than texts in {name!r}")
    return values


def _gold(record: Record, where: str) -> str:
    """The gold as graders take it; GSM8K's may come as the whole solution, whose answer stands behind `####`."""
    gold, suite = record["gold_source"], record["suite"]
    if suite in catalogue.SOLUTIONS:
        if not any(extraction.boxed(gold)):
            raise UserError(f"{where} has a gold without a \\boxed answer: {_start(gold)}; expected MATH's solution")
        return gold
    if suite == gsm8k.SUITE.name and "####" in gold:
        gold = gsm8k.gold({"answer": gold})
    if not gold.strip() or "\n" in gold.strip() or len(gold) > LONGEST_GOLD:
        raise UserError(f"{where} has a gold that is no short answer: {_start(gold)}; expected it in 'gold_source'")
    return gold


def _start(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def _check_suite(record: Record, where: str) -> None:
    if record["suite"] is None:
        raise UserError(
            f"{where} lacks 'suite'; expected it there or as --suite, one of: {', '.join(catalogue.SUITES)}"
        )
    if not isinstance(record["suite"], str) or record["suite"] not in catalogue.SUITES:
        raise UserError(f"{where} has suite {record['suite']!r}; expected one of: {', '.join(catalogue.SUITES)}")
