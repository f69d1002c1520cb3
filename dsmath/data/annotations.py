"""Programs from GSM8K's calculator annotations.

A solution comes as sentences with calculator annotations, `The baker makes 14*36 = <<14*36=504>>504 rolls`, and a last
line `#### 205`. Each annotation becomes one assignment under its
sentence as a comment:

    # The baker makes rolls
    rolls = 14 * 36

The variable is named after the words that follow the result, and stands in for the result where a later step uses it.
Neither comments nor code may hold a result, because the model that learns from them writes them before the program
runs.
"""

import ast
import itertools
import keyword
import math
import operator
import re
from collections.abc import Callable

from dsmath.data.source import Unusable

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
CLAUSE_END = re.compile(r"[.,;:!?()\d]")
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


def without(solution: str) -> str:
    """The sentences of a solution, without its annotations and its last line."""
    prose, _, _ = ANNOTATION.sub("", solution).rpartition("####")
    return prose.strip()


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
        after, before = CLAUSE_END.split(tail, maxsplit=1)[0], CLAUSE_END.split(lead)[-1]
        words = _words(after)[:NAME_WORDS] or _words(before, until_stopper=False)[-NAME_WORDS:]
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
            case ast.Constant(int() | float() as number):
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
