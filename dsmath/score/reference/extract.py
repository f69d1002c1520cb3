"""Which answers a response gives, by the reference protocol."""

import re

from dsmath.records import Answer
from dsmath.score.reference.normalise import normalise
from dsmath.suites import catalogue


def extract(suite: str, question: str, text: str) -> Answer:
    """The answer that `text`, a response or a gold solution, gives to a question of `suite`."""
    answers = normalised_answers(text)
    if suite in catalogue.SOLUTIONS:
        return [part for answer in answers for part in _parts(question, answer)]
    return answers[-1] if answers else ""


def extract_output(suite: str, question: str, text: str) -> Answer:
    """The answer of the reference's second score: what the last output block of a response holds."""
    answer = normalise(_first_line(last_output(text)))
    if suite in catalogue.SOLUTIONS:
        return _parts(question, answer) if answer else []
    return answer


def gold_answer(suite: str, question: str, gold_source: str) -> Answer:
    """The gold answer: of MATH extracted from the solution, of the other suites the string itself.

    ASDiv, which the reference doesn't know, has golds in words; those are normalised like any answer.
    """
    if suite in catalogue.SOLUTIONS:
        return extract(suite, question, gold_source)
    gold = gold_source.replace(",", "")
    return normalise(gold) if suite == "asdiv" else gold


def normalised_answers(text: str) -> list[str]:
    """All answers of a text in the order in which they stand."""
    return [normalise(_first_line(answer)) for answer in raw_answers(text)]


def raw_answers(text: str) -> list[str]:
    """What the first rule that matches finds. A rule that matches and finds nothing still keeps the later ones out."""
    if "final answer is $" in text and "$. I hope" in text:
        return [text.split("final answer is $", 1)[1].split("$. I hope", 1)[0]]
    if "boxed" in text:
        return boxed(text)
    if "he answer is" in text:
        return [text.rsplit("he answer is", 1)[1]]
    if output := last_output(text):
        return [output]
    return re.findall(r"-?\d*\.?\d+", text.replace(",", ""))[-1:]


def boxed(text: str) -> list[str]:
    r"""The contents of every brace-balanced `boxed{...}`.

    Quirk: where a percent sign follows the closing brace, the brace stays in the answer. (A number with it is right all
    the same: the LaTeX parser stops at the brace.)
    """
    found = []
    for piece in text.split("boxed{")[1:]:
        depth = 1
        for brace in re.finditer("[{}]", piece):
            depth += 1 if brace.group() == "{" else -1
            if depth == 0:
                end = brace.end() if piece.startswith("%", brace.end()) else brace.start()
                found.append(piece[:end])
                break
    return found


def last_output(text: str) -> str:
    """The last "```output" block, stripped; empty if there is none."""
    if "```output" not in text:
        return ""
    return text.rsplit("```output", 1)[1].split("```", 1)[0].strip()


def _first_line(answer: str) -> str:
    return answer.strip().split("\n", 1)[0].lstrip(":").rstrip(".").rstrip("/")


def _parts(question: str, answer: str) -> list[str]:
    r"""The answers that one answer of MATH holds: at commas if the question says so, else around `\text{ and }`."""
    if "separated by commas" in question and not set(answer) & set("()[]"):
        return [part.strip() for part in answer.split(",")]
    return [part.strip() for part in re.split(r"\\text\{\s*and\s*\}", answer)]
