r"""Normalisation of an answer under the reference protocol, quirks included.

The order of the steps is part of the protocol: `\left` goes before the spaces do, `$` before `x\in`.
"""

import re

_FRACTIONS_AND_DELIMITERS = (
    ("tfrac", "frac"),
    ("dfrac", "frac"),
    ("cfrac", "frac"),
    ("\\left", ""),  # takes the head of \leftarrow, too
    ("\\right", ""),
)
_MARKS = (
    ("\\$", ""),
    ("$", ""),
    ("x\\in", ""),
    ("\\%", "%"),  # percent signs stay: the verdict reads them
    (" .", " 0."),
    ("{.", "{0."),
    ("\\cdot", ""),  # so 2\cdot3 is read as 23
    ("infinity", "\\infty"),
)
_FONTS = (("\\mathbf", ""), ("\\mathrm", ""))


def normalise(answer: str) -> str:
    """One answer in the form that is compared."""
    answer = answer.strip().replace("\n", "").rstrip(".").replace("\\!", "")
    if answer.startswith("\\text{") and answer.endswith("}"):
        answer = answer[len("\\text{") : -1]
    answer = _replace(answer, _FRACTIONS_AND_DELIMITERS)
    answer = _drop_units(answer)
    answer = _replace(answer, _MARKS)
    if "\\infty" not in answer:
        answer = answer.replace("inf", "\\infty")
    answer = _replace(answer, _FONTS)
    answer = re.sub(r"\\mbox{.*?}", "", answer)
    if "j" in answer and "i" not in answer:
        answer = answer.replace("j", "i")  # the engineer's imaginary unit
    answer = re.sub(r"(\d+)\.0+([^\d])", r"\1\2", answer)
    answer = re.sub(r"(\d+)\.0+$", r"\1", answer)
    if answer.startswith("."):
        answer = "0" + answer
    answer = _brace_argument(answer, "sqrt")
    answer = _brace_argument(answer, "tan")
    answer = _brace_fractions(answer.replace(" ", ""))
    answer = _slash_to_fraction(answer)
    return answer.rstrip("\\,.")


def _replace(text: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text


def _drop_units(answer: str) -> str:
    r"""Without a last `\text{...}`, degrees, {cm}, {m}, {mm} and their powers, `p.m.`, and a `t` after a digit."""
    without = re.sub(r"\\text{.*?}$", "", answer).strip()
    answer = without or answer  # an answer that is all unit stays
    answer = answer.replace("^{\\circ}", "").strip()
    answer = answer.replace("^\\circ", "").strip()
    answer = re.sub(r"\{(c|m)?m\}(\^(2|3))?", "", answer).strip()
    answer = re.sub(r"p\.m\.$", "", answer).strip()
    return re.sub(r"(\d)\s*t$", r"\1", answer).strip()


def _brace_argument(answer: str, function: str) -> str:
    r"""`\sqrt3` becomes `\sqrt{3}`; `\sqrt x` does at the end of the answer only."""
    answer = re.sub(rf"\\{function}(-?[0-9.a-zA-Z]+)", rf"\\{function}{{\1}}", answer)
    return re.sub(rf"\\{function}\s+(\w+)$", rf"\\{function}{{\1}}", answer)


def _brace_fractions(answer: str) -> str:
    r"""`\frac12` becomes `\frac{1}{2}`, `\frac1{72}` becomes `\frac{1}{72}`; `\frac{72}1` stays.

    If any `\frac` has fewer than two characters after it, the whole answer stays as it was.
    """
    head, *rest = answer.split("\\frac")
    pieces = [head]
    for piece in rest:
        if not piece.startswith("{"):
            if len(piece) < 2:
                return answer
            denominator = piece[1] if piece[1] == "{" else f"{{{piece[1]}}}"
            piece = f"{{{piece[0]}}}{denominator}{piece[2:]}"
        pieces.append(piece)
    return "\\frac".join(pieces)


def _slash_to_fraction(answer: str) -> str:
    r"""An answer that is `a/b`, each an integer or something with a root in it, becomes `\frac{a}{b}`."""
    parts = answer.split("/")
    if len(parts) == 2 and all("sqrt" in part or re.fullmatch(r"0|-?[1-9]\d*", part, re.ASCII) for part in parts):
        return f"\\frac{{{parts[0]}}}{{{parts[1]}}}"
    return answer
