r"""Worked solutions of Ape210K, whose rows give a question, an equation and an answer, and nothing in words.

The equation is cut into steps of one operation each. A program computes them in order, exactly, and prints the answer
in the form that the row has it in; a chain of thought shows each step with its result. Programs hold the numbers of the
equation alone: no result stands in them, because the model that learns from them writes them before they run.
"""

import dataclasses

from dsmath.data.from_equations import expressions, numerals, steps
from dsmath.data.from_equations.expressions import FRACTION, MIXED, Expression, Leaf, Operation
from dsmath.data.from_equations.givens import Givens
from dsmath.data.from_equations.numerals import Form
from dsmath.data.from_equations.steps import Operand, Step
from dsmath.data.source import Unusable

CONCLUSION = "答案是\\boxed{{{}}}。"
PLAN = "根据题意列式：${}$。下面用Python分步精确计算。"
CONVERSION = "下面用Python把${}${}。"
BEHIND = "由程序的结果可知，"
IMPORT = "from fractions import Fraction"


@dataclasses.dataclass(frozen=True)
class Worked:
    """A question's solution in the modes that are trained."""

    program: str
    plan: str  # in words, before the program
    conclusion: str  # behind its output
    cot: str
    answer: str  # as it is boxed: LaTeX, exactly the row's value in the row's form


def worked(question: str, equation: str, ans: str) -> Worked:
    """The solution that a row gives.

    Raises Unusable where the equation can't be read, or has no operation or another value than the answer, and where
    the answer is no number.
    """
    tree = expressions.equation(equation)
    value = expressions.evaluate(tree)
    form, gold = numerals.form(ans)
    if value != gold:
        raise Unusable("the equation has another value than the answer")
    if not form.holds(value):
        form = Form(FRACTION)
    givens = Givens(question)
    tree = _plain(tree, givens)
    fractions = form.kind in (FRACTION, MIXED) or any(
        leaf.kind in (FRACTION, MIXED) for leaf in expressions.leaves(tree)
    )
    result, taken = steps.of(tree, givens, fractions=fractions)
    answer = form.latex(value)
    if not taken and (result.shown == answer or value not in givens.values()):
        raise Unusable("the equation computes nothing")
    formula = _latex(tree)
    return Worked(
        program=_program(result, taken, form),
        plan=PLAN.format(formula) if taken else CONVERSION.format(formula, form.wanted),
        conclusion=BEHIND + CONCLUSION.format(answer),
        cot=_chain(formula, result, taken, answer, givens.asked),
        answer=answer,
    )


def _program(result: Operand, taken: list[Step], form: Form) -> str:
    """All steps, the last of which is the answer, and its print."""
    if taken:
        names = [step.name for step in taken[:-1]] + ["answer"]
        lines = [f"# {step.comment}\n{name} = {step.code}" for name, step in zip(names, taken, strict=True)]
    else:
        lines = [f"# 把{result.words}{form.wanted}\nanswer = {result.code}"]
    lines.append(form.print("answer", result.value))
    head = [IMPORT, ""] if any("Fraction(" in line for line in lines) else []
    return "\n".join([*head, *lines])


def _chain(formula: str, result: Operand, taken: list[Step], answer: str, unit: str) -> str:
    """The steps with their results, and the answer."""
    lines = [f"{step.said}${step.shown}" for step in taken] or [f"${formula}"]
    if result.shown != answer:
        lines[-1] += f"={answer}"
    lines = [f"{line}$" for line in lines]
    if unit and not answer.endswith("%"):
        lines[-1] += f"（{unit}）"
    if len(lines) > 1:
        lines = [f"根据题意列式：${formula}$", *(f"第{n}步，{line}" for n, line in enumerate(lines, 1))]
    return "".join(f"{line}。\n" for line in lines) + CONCLUSION.format(answer)


def _plain(node: Expression, givens: Givens) -> Expression:
    """An equation without what computes nothing, as times 1 and times 100%.

    Brackets as in `(15/16)` hold a fraction; where the question gives 15 and 16, they hold a division.
    """
    if isinstance(node, Leaf):
        whole = node.value.denominator == 1
        written = f"({node.above}/{node.below})"
        apart = str(node.above) in givens and str(node.below) in givens
        if node.kind == FRACTION and written not in givens and (whole or apart):
            return Operation("/", expressions.integer(node.above), expressions.integer(node.below))
        return node
    left, right = _plain(node.left, givens), _plain(node.right, givens)
    if _is_idle(right, 0 if node.sign in "+-" else 1, givens):
        return left
    if node.sign in "+*" and _is_idle(left, 0 if node.sign == "+" else 1, givens):
        return right
    return Operation(node.sign, left, right)


def _is_idle(node: Expression, neutral: int, givens: Givens) -> bool:
    return isinstance(node, Leaf) and node.value == neutral and node.text not in givens


_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 3}


def _latex(node: Expression) -> str:
    """A formula, with brackets where they are needed."""
    if isinstance(node, Leaf):
        return steps.leaf_latex(node)
    level = _PRECEDENCE[node.sign]
    left = _bracketed(node.left, level + (node.sign == "**"))
    if node.sign == "**":
        return f"{left}^{{{_latex(node.right)}}}"
    return f"{left}{steps.SIGNS[node.sign]}{_bracketed(node.right, level + 1)}"


def _bracketed(node: Expression, level: int) -> str:
    """An operand of an operation of that precedence."""
    inner = _latex(node)
    if isinstance(node, Operation):
        return inner if _PRECEDENCE[node.sign] >= level else f"({inner})"
    return f"({inner})" if node.value < 0 or (level > 3 and node.kind in (FRACTION, MIXED)) else inner
