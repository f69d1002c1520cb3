"""GSM8K training rows as examples.

A solution comes as sentences with calculator annotations, `The baker makes 14*36 = <<14*36=504>>504 rolls`, and a last
line `#### 205`. For chain of thought the annotations go. For tool use each annotation becomes one assignment under its
sentence as a comment:

    # The baker makes rolls
    rolls = 14 * 36

The variable is named after the words that follow the result, and stands in for the result where a later step uses it.
Neither comments nor code may hold a result, because the model that learns from them writes them before the program
runs. A program is kept only if, run in the sandbox, it prints the answer.
"""

import ast
import collections
import itertools
import keyword
import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dsmath import config
from dsmath.error import UserError
from dsmath.records import Example, Exit, Piece, Source
from dsmath.sandbox.client import Sandbox
from dsmath.suites import layouts, published
from dsmath.text.template import with_program

SOURCE = "gsm8k"
CONCLUSION = "The answer is \\boxed{{{}}}."
PLAN = "Let's compute it step by step."

ANNOTATION = re.compile(r"<<([^<>]*)>>")
# What a sentence shows of one step: the expression, perhaps with units, then annotation and result; or an equation
# that lacks its annotation.
_NUMBER = r"(?:\d[\d,]{0,20}(?:\.\d{1,20})?|\.\d{1,20})"  # bounds keep matching linear
_OPERAND = rf"[$(]{{0,4}}{_NUMBER}%?(?:[ /-]?[a-z]{{1,30}}(?:[ /-][a-z]{{1,30}}){{0,3}})?\){{0,4}}"
_OPERATOR = r"\s*(?:[-+*/÷×]|\bx\b)\s*"
SHOWN = re.compile(
    rf"(?<![\w.])(?:{_OPERAND}(?:{_OPERATOR}{_OPERAND}){{0,30}}\s*=\s*)?[$]?<<(?P<step>[^<>]*)>>[$]?-?{_NUMBER}?%?"
    rf"|(?<![\w.])(?P<bare>{_OPERAND}(?:{_OPERATOR}{_OPERAND}){{1,30}}\s*=\s*[$]?{_NUMBER}%?)(?![\w%]|[.,]\d|\s*[-+*/÷×=<(])",
    re.IGNORECASE,
)
NUMBER = re.compile(rf"(?<![\w.]){_NUMBER}(?!\w|\.\d)")
TOKEN = re.compile(r"[\d.,]+%?|[-+*/()]|\S")
CLOSE = 1e-6  # relative, near 0 absolute; programs compute in floats, answers are exact
ROUNDED = 0.01  # relative; how far an equation without annotation may be off
UNIVERSAL = {1, 2, 7, 10, 12, 24, 30, 52, 60, 100, 365, 1000}  # numbers that need not come from anywhere
NAME_WORDS = 3  # at most, in a variable's name
SKIPPED = {"a", "an", "the", "of", "for", "from", "to", "in", "on", "at", "by", "per", "as", "this", "it", "he", "she"}
STOPPERS = {"and", "or", "so", "because", "since", "which", "that", "while", "if", "when", "than", "then"}
STOPPERS |= {"is", "are", "was", "were", "s"}
DANGLING = re.compile(r"(?:[\s.,:;=*/+$(-]|\b(?:is|are|was|were|of|for|because|since|to|a|an|the|by|or|and|with)\b)+$")
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


class Unusable(Exception):
    """A solution that gives no program; the message is the reason, by which drops are counted."""


class Row(NamedTuple):
    """A question, its solution as published, and the answer."""

    id: str
    question: str
    solution: str
    gold: str


def read(path: Path) -> list[Row]:
    """The rows of a file. Raises UserError if it holds none."""

    def row(line: int, fields: dict[str, Any]) -> Row:
        question, solution = published.text(fields["question"]), published.text(fields["answer"])
        return Row(f"{SOURCE}-train-{line - 1}", question, solution, layouts.gsm8k_gold(fields))

    rows = list(published.rows(path, row))
    if not rows:
        raise UserError(f"no rows in {path}; expected JSON Lines of GSM8K; choose another --data_dir")
    return rows


def examples(
    rows: Sequence[Row], modes: Sequence[str], limits: config.Sandbox, drops: collections.Counter[str]
) -> Iterator[Example]:
    """The examples of rows in the wanted modes, "cot" before "tool", each in the order of the rows.

    `drops` counts the examples that a row did not give, by reason. Programs run `limits.workers` at a time.
    """
    if "cot" in modes:
        for row in rows:
            solution = (Piece(Source.MODEL, cot(row.solution, row.gold)),)
            yield Example(f"{row.id}-cot", SOURCE, "en", "cot", row.question, solution, row.gold)
    if "tool" in modes:
        yield from _tool_examples(rows, limits, drops)


def cot(solution: str, gold: str) -> str:
    """A solution without its annotations, ending in the boxed answer."""
    prose, _, _ = ANNOTATION.sub("", solution).rpartition("####")
    return f"{prose.strip()}\n{CONCLUSION.format(gold)}"


def program(question: str, solution: str, gold: str) -> str:
    """The program that a solution's annotations make. Raises Unusable if they make none."""
    prose, _, _ = solution.replace("−", "-").rpartition("####")  # the minus sign, once as U+2212
    steps = _Steps(question)
    for sentence in prose.splitlines():
        steps.read(sentence)
    if not steps.results:
        raise Unusable("no annotation")
    answers = [variable for variable, result in steps.results.items() if _equal(result, gold)]
    if not answers:
        raise Unusable("the answer is not the result of a step")
    return "\n".join([*steps.lines, f"print({answers[-1]})"])


def _tool_examples(rows: Sequence[Row], limits: config.Sandbox, drops: collections.Counter[str]) -> Iterator[Example]:
    with Sandbox(limits) as sandbox:
        running = []
        for row in rows:
            try:
                code = program(row.question, row.solution, row.gold)
            except Unusable as e:
                drops[str(e)] += 1
                continue
            running.append((row, code, sandbox.submit(code)))
        for row, code, future in running:
            ran = future.result()
            if ran.exit is not Exit.OK:
                drops[f"the program ended in {ran.exit}"] += 1
            elif not _equal(ran.stdout, row.gold):
                drops["the program prints another answer"] += 1
            else:
                solution = with_program(PLAN, code, ran.stdout, CONCLUSION.format(row.gold))
                yield Example(f"{row.id}-tool", SOURCE, "en", "tool", row.question, solution, row.gold)


def _equal(value: float | str, gold: str) -> bool:
    try:
        return _close(float(value), float(gold))
    except ValueError:
        return False


class _Steps:
    """The program while it grows."""

    def __init__(self, question: str):
        self.lines: list[str] = []
        self.results: dict[str, float] = {}  # by variable, in order
        self._used: set[str] = set()
        self._given = UNIVERSAL | {_number(n) for n in NUMBER.findall(question)}

    def read(self, sentence: str) -> None:
        """Add the steps of a sentence: a comment, and an assignment for each annotation."""
        shown = [match for match in SHOWN.finditer(sentence) if match["step"] or _holds(match["bare"])]
        ends = [match.end() for match in shown]
        comment, code, own = "", [], set()
        for match, before, after in zip(shown, [0, *ends], [*(m.start() for m in shown[1:]), None], strict=False):
            lead, tail = sentence[before : match.start()], sentence[match.end() : after]
            left, right = _sides(match["step"] or _without_units(match["bare"]))
            expression = _python(left, self._operand)
            variable = self._name(lead, tail)
            self.results[variable] = right
            code.append(f"{variable} = {expression}")
            comment += lead
            own.add(right)
        if code:
            comment = self._without_results(comment + sentence[ends[-1] :], own)
            self.lines += [f"# {comment}", *code] if comment else code

    def _operand(self, value: float) -> str:
        """A variable, where a number is the result of an earlier step; else the number."""
        # A result that no step has used yet is the likelier origin; later on, a number of the question is.
        for variable, result in reversed(self.results.items()):
            if _close(result, value) and (variable not in self._used or value not in self._given):
                self._used.add(variable)
                return variable
        return _literal(value)

    def _name(self, lead: str, tail: str) -> str:
        """A new variable, named by the words after a result, or else by those before its expression."""
        words = _words(re.match(r"[^.,;:!?()\d]*", tail)[0])[:NAME_WORDS]
        words = words or _words(re.search(r"[^.,;:!?()\d]*$", lead)[0], until_stopper=False)[-NAME_WORDS:]
        name = "_".join(words) or "step"
        if keyword.iskeyword(name) or name == "print":
            name += "_1"
        taken = [name, *(f"{name}_{n}" for n in range(2, len(self.results) + 3))]
        return next(n for n in taken if n not in self.results)

    def _without_results(self, comment: str, own: set[float]) -> str:
        """A comment without the results of its `own` steps, and with variables for those of earlier ones."""

        def variable(match: re.Match) -> str:
            value = _number(match[0])
            if value in self._given:
                return match[0]
            same = [v for v, result in self.results.items() if _close(result, value)]
            return "" if value in own else same[-1] if same else match[0]

        comment = DANGLING.sub("", " ".join(NUMBER.sub(variable, comment).split()))
        return re.sub(r"\s+([.,;:!?])", r"\1", comment)


def _sides(equation: str) -> tuple[str, float]:
    """The expression and the result of an equation. Raises Unusable if it isn't one of numbers."""
    left, _, right = equation.partition("=")
    left = re.sub(r"\bx\b|(?<=\d)x(?=[\d(.])", "*", left.lower()).replace("×", "*").replace("÷", "/")
    left, right = left.replace("$", ""), right.rpartition("=")[2].replace("$", "").strip()
    if right.endswith("%"):  # 3 / 4 * 100% = 75%
        left, right = left.replace("%", ""), right[:-1]
    _value(left)
    return left, _number(right)


def _without_units(equation: str) -> str:
    return re.sub(r"[ /-]?(?!x\b)[a-z]+", "", equation, flags=re.IGNORECASE)


def _holds(equation: str) -> bool:
    """Whether an equation of the prose, units left out, is one of numbers and true."""
    try:
        left, right = _sides(_without_units(equation))
        return math.isclose(_value(left), right, rel_tol=ROUNDED)
    except Unusable:
        return False


def _value(expression: str) -> float:
    """The value of an expression in numbers and + - * / ( ) %. Raises Unusable for anything else."""

    def value(node: ast.expr) -> float:
        match node:
            case ast.BinOp(left, op, right) if type(op) in OPERATORS:
                return OPERATORS[type(op)](value(left), value(right))
            case ast.UnaryOp(ast.USub(), operand):
                return -value(operand)
            case ast.Constant(number):
                return float(number)
        raise Unusable("an annotation is no expression")

    try:
        return value(ast.parse(_python(expression, _literal), mode="eval").body)
    except (SyntaxError, ZeroDivisionError) as e:
        raise Unusable("an annotation is no expression") from e


def _python(expression: str, operand: Callable[[float], str]) -> str:
    """An expression as Python, its numbers written by `operand`."""
    parts: list[str] = []
    for token in TOKEN.findall(expression):
        if token == "(" and parts and parts[-1] not in "+-*/(":
            parts.append("*")
        if token in "+-*/()":
            parts.append(token)
        elif token.endswith("%"):
            parts.append(f"({_literal(_number(token[:-1]))} / 100)")
        else:
            parts.append(operand(_number(token)))
    return " ".join(parts).replace("( ", "(").replace(" )", ")")


def _words(text: str, *, until_stopper: bool = True) -> list[str]:
    words = re.findall(r"[a-z]+", text.lower().replace("'s", "").replace("’s", ""))
    if until_stopper:
        words = list(itertools.takewhile(lambda word: word not in STOPPERS, words))
    return [word for word in words if word not in SKIPPED | STOPPERS]


def _number(text: str) -> float:
    try:
        return float(text.replace(",", "").strip("$ "))
    except ValueError as e:
        raise Unusable("an annotation is no expression") from e


def _literal(value: float) -> str:
    return str(int(value)) if value.is_integer() else str(value)


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE)
