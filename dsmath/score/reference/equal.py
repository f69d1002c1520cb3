r"""When a prediction counts as right: the verdict rules of the reference protocol.

Every function returns the name of the rule that accepts, or "" if none does. The rules that compare expressions take a
`symbolic` function, so that whoever wants no SymPy can pass one that refuses.

What a careful reader would not accept, and the rule that does: 500 for 5 ("percent"), 0.0005 for 0.001 ("close"),
`[1,2]` for `(1,2)` ("brackets").
"""

import math
import re
from collections.abc import Callable

from dsmath.records import Answer
from dsmath.score.reference import plain

TOLERANCE = 1e-3  # absolute; reference protocol

Symbolic = Callable[[str, str], bool]

_MATRIX = re.compile(r"\\begin\{[pb]matrix\}(.*)\\end\{[pb]matrix\}", re.DOTALL)


def verdict(prediction: Answer, gold: Answer, symbolic: Symbolic) -> str:
    """The rule by which a prediction is right. Lists, of MATH, lose repeats, and of the predictions the last count."""
    if isinstance(gold, str) and isinstance(prediction, str):
        return equal(prediction, gold, symbolic)
    golds = list(dict.fromkeys(gold))
    predictions = list(dict.fromkeys(prediction))[-len(golds) :]
    return _lists_equal(predictions, golds, symbolic)


def _lists_equal(predictions: list[str], golds: list[str], symbolic: Symbolic) -> str:
    """Each prediction equals some gold and each gold some prediction: in any order, not one to one."""
    rules = [[equal(prediction, gold, symbolic) for gold in golds] for prediction in predictions]
    if not all(any(row) for row in rules) or not all(any(column) for column in zip(*rules, strict=True)):
        return ""
    if len(predictions) == len(golds) == 1:
        return rules[0][0]
    return "list" if bool(predictions) == bool(golds) else ""


def equal(prediction: str, gold: str, symbolic: Symbolic) -> str:
    """One prediction against one gold answer."""
    if "\\cup" in prediction and "\\cup" in gold:
        return _lists_equal(prediction.split("\\cup"), gold.split("\\cup"), symbolic) and "union"
    p, g = _float(prediction), _float(gold)
    if p is not None and g is not None and abs(p - g) < TOLERANCE:
        return "close"
    return math_equal(prediction, gold, symbolic)


def math_equal(prediction: str, gold: str, symbolic: Symbolic) -> str:
    """The rules for one expression; the elements of tuples and matrices come back here."""
    if prediction == gold:
        return "same"
    p, g = _number(prediction), _number(gold)
    if p is not None and g is not None:
        return _numbers_equal(p, g)
    if not prediction:
        return ""
    prediction, gold = prediction.strip(), gold.strip()
    return (
        _brackets_equal(prediction, gold, symbolic)
        or _matrices_equal(prediction, gold, symbolic)
        or _equations_equal(prediction, gold, symbolic)
        or (_symbols_equal(prediction, gold, symbolic) and "symbolic")
        or ""
    )


def _symbols_equal(prediction: str, gold: str, symbolic: Symbolic) -> bool:
    """What SymPy says; of plain expressions, what it would say."""
    close = plain.close(prediction, gold, TOLERANCE)
    return symbolic(prediction, gold) if close is None else close


def _numbers_equal(prediction: float, gold: float) -> str:
    """Quirk: a hundredth and the hundredfold of the gold are right, too."""
    for rule, value in (("number", gold), ("percent", gold / 100), ("percent", gold * 100)):
        if math.isclose(value, prediction, rel_tol=1e-9, abs_tol=TOLERANCE):
            return rule
    return ""


def _brackets_equal(prediction: str, gold: str, symbolic: Symbolic) -> str:
    """Tuples and intervals, element by element. Quirk: round and square brackets are the same."""
    if not all(re.match(r"[(\[].+[)\]]", text) for text in (prediction, gold)):
        return ""
    same = _rows_equal(prediction[1:-1].split(","), gold[1:-1].split(","), symbolic)
    return "brackets" if same else ""


def _matrices_equal(prediction: str, gold: str, symbolic: Symbolic) -> str:
    """pmatrix and bmatrix, cell by cell."""
    p_matrix, g_matrix = (_MATRIX.fullmatch(text) for text in (prediction, gold))
    if not (p_matrix and g_matrix):
        return ""
    p_rows, g_rows = ([row for row in m[1].split("\\\\") if row.strip()] for m in (p_matrix, g_matrix))
    same = len(p_rows) == len(g_rows) and all(
        _rows_equal(p.strip().split("&"), g.strip().split("&"), symbolic) for p, g in zip(p_rows, g_rows, strict=True)
    )
    return "matrix" if same else ""


def _rows_equal(predictions: list[str], golds: list[str], symbolic: Symbolic) -> bool:
    return len(predictions) == len(golds) and all(
        math_equal(p, g, symbolic) for p, g in zip(predictions, golds, strict=True)
    )


def _equations_equal(prediction: str, gold: str, symbolic: Symbolic) -> str:
    """Two equations whose sides differ by the same, up to sign; or `x = value` against a value."""
    p_sides, g_sides = prediction.split("="), gold.split("=")
    if len(p_sides) == len(g_sides) == 2:
        p, g = (f"{left.strip()} - ({right.strip()})" for left, right in (p_sides, g_sides))
        return "equation" if symbolic(p, g) or symbolic(f"-({p})", g) else ""
    if len(p_sides) == 2 and len(p_sides[0].strip()) <= 2 and len(g_sides) == 1:
        return math_equal(p_sides[1], gold, symbolic) and "right side"
    if len(g_sides) == 2 and len(g_sides[0].strip()) <= 2 and len(p_sides) == 1:
        return math_equal(prediction, g_sides[1], symbolic) and "right side"
    return ""


def _float(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _number(text: str) -> float | None:
    r"""A number, commas removed; `n%` and `n\%` are hundredths."""
    text = text.replace(",", "")
    number = _float(text)
    if number is None and text.endswith("%"):
        number = _float(text[:-1].removesuffix("\\"))
        return None if number is None else number / 100
    return number
