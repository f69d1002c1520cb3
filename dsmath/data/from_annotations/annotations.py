"""Programs from GSM8K's calculator annotations.

A solution comes as sentences with calculator annotations, `The baker makes 14*36 = <<14*36=504>>504 rolls`, and a last
line `#### 205`. Each annotation, and each true equation that lacks one, becomes an assignment under its sentence as a
comment:

    # The baker makes rolls
    rolls = 14 * 36

The variable is named after the words that follow the result, and stands in for the result where a later step uses it.
An unknown that the solution solves for by hand is solved for by sympy, from the solution's first equation; what lies
between that and its value is left out. The answer is the result of a step, or follows from the last one by a
conversion or by rounding.

Neither comments nor code may hold a result before it is computed, because the model that learns from them writes them
before the program runs; and a number is no step by itself unless the question gives it.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Sequence

from dsmath.data.from_annotations import arithmetic, sentences, unknowns, wording
from dsmath.data.from_annotations.arithmetic import Expression, Number, Unreadable, close
from dsmath.data.from_annotations.conclusions import conclusion
from dsmath.data.from_annotations.sentences import Shown
from dsmath.data.from_annotations.unknowns import Unknown
from dsmath.data.from_annotations.wording import Given
from dsmath.data.source import Unusable

ANNOTATION = re.compile(r"<<([^<>]*)>>")
TYPOGRAPHY = str.maketrans({"−": "-", "–": "-", "\xa0": " ", "½": " 1/2", "¼": " 1/4", "¾": " 3/4"})
SETS_UP = re.compile(r"\b(?:let|say|says|assume|suppose|represents?|use|call|calling|if)\b|=", re.IGNORECASE)
ROUNDED = 0.01  # relative; how far an equation without annotation may be off
MOST_CHARACTERS = 100_000  # of a solution, which takes a second or two to read; real ones have a few hundred
MOST_STEPS = 100
MOST_SHOWN = 500  # calculations, steps or not
READINGS: tuple[Callable[[Expression], Expression], ...] = (
    lambda side: side,
    arithmetic.with_tight_fractions,  # 2 / 1/4 = 8
    arithmetic.without_percents,  # 3 / 4 * 100% = 75%, 100% - 20% = 80%
    arithmetic.in_percent,  # 60% * 50% = 30%, 8 / 25 = 32%
)


def without(solution: str) -> str:
    """The sentences of a solution, without its annotations and its last line."""
    prose, _, _ = ANNOTATION.sub("", solution).rpartition("####")
    return prose.strip()


def program(question: str, solution: str, gold: str) -> str:
    """The program that a solution's steps make. Raises Unusable if they make none."""
    if len(solution) > MOST_CHARACTERS:
        raise Unusable("too long")
    prose, _, _ = solution.translate(TYPOGRAPHY).rpartition("####")
    texts, letters = prose.splitlines(), unknowns.letters(prose)
    shown = [sentences.calculations(text, letters) for text in texts]
    if sum(map(len, shown)) > MOST_SHOWN:
        raise Unusable("too many steps")
    problem = _Problem(question, texts, shown, _float(gold))
    plain = _Steps(problem)
    readings = [plain]
    if letters and (found := unknowns.unknown(shown, problem.gold)) and not plain.computes(found.value):
        readings.insert(0, _Steps(problem, found))
    for steps in readings:
        if code := steps.program():
            return code
    if any(steps.results for steps in readings):
        raise Unusable("the answer is not the result of a step")
    raise Unusable("an annotation is no expression" if ANNOTATION.search(prose) else "no annotation")


@dataclasses.dataclass(frozen=True)
class _Problem:
    """A problem with the calculations of its solution, sentence by sentence."""

    question: str
    texts: Sequence[str]
    shown: Sequence[Sequence[Shown]]
    gold: float | None  # None if the answer isn't a number


@dataclasses.dataclass(frozen=True)
class _Block:
    """A sentence with its code."""

    comment: str
    code: Sequence[str]
    own: Sequence[Number]  # what the code computes, as the sentence states it
    earlier: int  # how many results there are before it


@dataclasses.dataclass(frozen=True)
class _Step:
    """A calculation with the expression that gives its result, and where what the sentence shows of it starts."""

    shown: Shown
    start: int
    expression: Expression | None  # None is the unknown's equation
    result: float


class _Steps:
    """The steps of a solution, read in order; with an unknown, its equation is one of them."""

    def __init__(self, problem: _Problem, unknown: Unknown | None = None):
        self.results: dict[str, float] = {}  # by variable, in order
        self._problem = problem
        self._gold = problem.gold
        self._given = Given.of(problem.question)
        self._unknown = unknown
        self._known: dict[str, float] = {}  # values of unknowns, once stated
        self._blocks: list[_Block] = []
        self._used: set[str] = set()
        self._copied: set[str] = set()  # variables that are a number of the question
        self._fractions: set[str] = set()  # variables whose results are stated as fractions
        self._last = -1  # sentence with a step
        for i in range(len(problem.texts)):
            self._read(i)
            if unknown and i == unknown.stated:
                self._known[unknown.letter] = unknown.value

    def computes(self, value: float) -> bool:
        return any(close(r, value) for v, r in self.results.items() if v not in self._copied)

    def program(self) -> str | None:
        """The program that prints the answer, None if no step and no conclusion gives it."""
        if not self._answers():
            self._define()
        if answers := self._answers():
            ending = [f"print({answers[-1]})"]
        elif concluded := self._concluded():
            ending = concluded
        else:
            return None
        lines = [line for block in self._blocks for line in (*self._comment(block), *block.code)] + ending
        imports = ["from sympy import Eq, solve, symbols"] if any("solve(" in line for line in lines) else []
        imports += ["import math"] if "math." in lines[-1] else []
        return "\n".join(imports + lines)

    def _answers(self) -> list[str]:
        if self._gold is None:
            return []
        return [v for v, result in self.results.items() if v not in self._copied and close(result, self._gold)]

    def _read(self, i: int) -> None:
        """Add the steps of a sentence."""
        text = self._problem.texts[i]
        steps = self._steps(i)
        if not steps:
            if self._sets_up(i):
                self._blocks.append(_Block(text, [], [], len(self.results)))
            return
        self._last, earlier = i, len(self.results)
        comment, code, own, before = "", [], [], 0
        ends = [*(step.start for step in steps[1:]), len(text)]
        for step, end in zip(steps, ends, strict=True):
            lead, tail = text[before : step.start], text[step.shown.end : end]
            code += self._assign(step, lead, tail) if step.expression else self._solve()
            own += [Number(step.result), *(token for token in step.shown.sides[-1] if isinstance(token, Number))]
            comment, before = comment + lead, step.shown.end
        self._blocks.append(_Block(comment + text[before:], code, own, earlier))

    def _steps(self, i: int) -> list[_Step]:
        """The calculations of a sentence that are steps."""
        steps: list[_Step] = []
        unknown = self._unknown
        for k, shown in enumerate(self._problem.shown[i]):
            if unknown and (i, k) == (unknown.sentence, unknown.shown):
                steps.append(_Step(shown, shown.starts[0], None, unknown.value))
            elif unknown and unknown.sentence <= i <= unknown.stated and unknown.letter in shown.letters:
                continue  # on the way from the equation to its solution
            elif step := self._step(shown, [step.result for step in steps]):
                steps.append(step)
        return steps

    def _step(self, shown: Shown, new: Sequence[float]) -> _Step | None:
        """A calculation as a step, None if it is none; `new` are the sentence's results so far."""
        copied = None
        if shown.annotation is not None:
            try:
                expression, result = arithmetic.sides(shown.annotation)
            except Unreadable:
                pass
            else:
                read = self._reading(shown, result)
                start = read[0] if read else shown.starts[-2:][0]
                if arithmetic.calculates(expression):
                    return _Step(shown, start, expression, result)
                if not shown.annotation.lstrip().startswith("+"):  # x + <<+10=10>>10
                    copied = _Step(shown, start, expression, result)
        if shown.sides and arithmetic.is_number(shown.sides[-1]):
            result = arithmetic.value(arithmetic.without_percents(shown.sides[-1]))
            if read := self._reading(shown, result):
                return _Step(shown, *read)
        if copied and not shown.letters and self._has(copied.result, new):
            return copied
        return None

    def _reading(self, shown: Shown, result: float) -> tuple[int, Expression, float] | None:
        """Start and reading of the side that has the result, and the result: the answer where it was miscopied."""
        for start, side in zip(shown.starts, shown.sides[:-1], strict=False):
            if not arithmetic.calculates(side):
                continue
            for target, off in ((result, ROUNDED), (self._gold, 1e-6)):
                for reading in READINGS:
                    try:
                        value = arithmetic.value(reading(side), self._known)
                    except Unreadable:
                        continue
                    if target is not None and math.isclose(value, target, rel_tol=off, abs_tol=1e-6):
                        return start, reading(side), target
        return None

    def _has(self, value: float, new: Sequence[float]) -> bool:
        return value in self._given.numbers or any(close(value, known) for known in (*self.results.values(), *new))

    def _assign(self, step: _Step, lead: str, tail: str) -> list[str]:
        assert step.expression
        right = arithmetic.python(step.expression, self._operand)
        variable = self._new(wording.name(lead, tail))
        if len(self.results) >= MOST_STEPS:
            raise Unusable("too many steps")
        if not arithmetic.calculates(step.expression) and (right not in self.results or right in self._copied):
            self._copied.add(variable)
        self.results[variable] = step.result
        if any(isinstance(token, Number) and token.bottom is not None for token in step.shown.sides[-1]):
            self._fractions.add(variable)
        return [f"{variable} = {right}"]

    def _solve(self) -> list[str]:
        """The lines that give the unknown its value."""
        assert self._unknown
        letter, alone = self._unknown.letter, self._unknown.alone
        sides = (alone,) if alone else (self._unknown.left, self._unknown.right)
        written = [arithmetic.python(side, self._operand) for side in sides]
        self.results[letter] = self._unknown.value
        if alone:
            return [f"{letter} = {written[0]}"]
        left, right = written
        return [f'{letter} = symbols("{letter}")', f"{letter} = solve(Eq({left}, {right}), {letter})[0]"]

    def _operand(self, number: Number) -> str | None:
        """The variable of an earlier step whose result a number is, None for none."""
        # A result that no step has used yet is the likelier origin; later on, a number of the question is.
        for variable, result in reversed(self.results.items()):
            if number.bottom is not None and number.whole is None and variable not in self._fractions:
                continue
            if close(result, number.value) and (variable not in self._used or not self._given.explains(number.value)):
                self._used.add(variable)
                return variable
        return None

    def _new(self, name: str) -> str:
        """A name that no variable has yet."""
        reserved = {*self.results, self._unknown.letter} if self._unknown else self.results
        names = [name, *(f"{name}_{n}" for n in range(2, len(reserved) + 3))]
        return next(n for n in names if n not in reserved)

    def _sets_up(self, i: int) -> bool:
        """Whether a sentence without steps says what the unknown is."""
        unknown = self._unknown
        if unknown is None or i >= unknown.sentence:
            return False
        named = re.search(rf"(?<![\w'’]){unknown.letter}(?![\w'’])", self._problem.texts[i]) and SETS_UP.search(
            self._problem.texts[i]
        )
        return bool(named) or any(unknown.letter in shown.letters for shown in self._problem.shown[i])

    def _define(self) -> None:
        """Add the step that the solution leaves to the reader: x is known, and the answer was said to be 4x - 5."""
        unknown = self._unknown
        if unknown is None or self._gold is None:
            return
        for text, calculations in zip(self._problem.texts, self._problem.shown, strict=True):
            for shown in calculations:
                for side in shown.sides:
                    if arithmetic.letters(side) != {unknown.letter} or not arithmetic.calculates(side):
                        continue
                    if close(arithmetic.value(side, {unknown.letter: unknown.value}), self._gold):
                        step = _Step(shown, shown.starts[0], side, self._gold)
                        lead, tail = text[: step.start], text[shown.end :]
                        code = self._assign(step, lead, tail)
                        self._blocks.append(_Block(lead + tail, code, [Number(self._gold)], len(self.results) - 1))
                        return

    def _concluded(self) -> list[str] | None:
        """The last lines where the answer follows from the last result, None where it doesn't."""
        computed = [variable for variable in self.results if variable not in self._copied]
        if not computed or self._gold is None:
            return None
        words = "\n".join((self._problem.question, *self._problem.texts))
        found = conclusion(self.results[computed[-1]], self._gold, words)
        if found is None:
            return None
        last = self._blocks[-1]
        self._blocks[-1] = dataclasses.replace(last, own=[*last.own, Number(self._gold)])
        rest = [text for text in self._problem.texts[self._last + 1 :] if text.strip()]
        block = _Block(rest[-1] if rest else found.why, [], [Number(self._gold)], len(self.results))
        return [*self._comment(block), f"print({found.python.format(computed[-1])})"]

    def _comment(self, block: _Block) -> list[str]:
        results = list(self.results.items())
        earlier, later = dict(results[: block.earlier]), [result for _, result in results[block.earlier :]]
        if self._gold is not None:
            later.append(self._gold)
        text = wording.comment(block.comment, block.code, block.own, self._given, earlier, later)
        return [f"# {text}"] if text else []


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
