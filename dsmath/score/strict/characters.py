r"""Characters and spacing of an answer, brought to plain LaTeX."""

import re

_DIGITS = {ord("０") + i: str(i) for i in range(10)}
_LETTERS = {ord(first) + i: chr(ord(plain) + i) for first, plain in (("Ａ", "A"), ("ａ", "a")) for i in range(26)}
_MARKS = str.maketrans(
    {
        "，": ",",
        "、": ",",
        "；": ";",
        "：": ":",
        "∶": ":",
        "。": " ",
        "．": ".",
        "（": "(",
        "）": ")",
        "［": "[",
        "］": "]",
        "【": "[",
        "】": "]",
        "｛": "\\{",
        "｝": "\\}",
        "％": "%",
        "＝": "=",
        "＋": "+",
        "－": "-",
        "−": "-",
        "–": "-",
        "＜": "<",
        "＞": ">",
        "／": "/",
        "×": "\\times ",
        "·": "\\cdot ",
        "⋅": "\\cdot ",
        "÷": "\\div ",
        "±": "\\pm ",
        "∓": "\\mp ",
        "π": "\\pi ",
        "θ": "\\theta ",
        "∞": "\\infty ",
        "≤": "\\le ",
        "≥": "\\ge ",
        "≠": "\\ne ",
        "≈": "\\approx ",
        "∈": "\\in ",
        "∪": "\\cup ",
        "∖": "\\setminus ",
        "ℝ": "\\mathbb{R}",
        "°": "^\\circ ",
        "º": "^\\circ ",
        "˚": "^\\circ ",
        "²": "^2 ",
        "³": "^3 ",
        "￥": "\\yen ",
        "¥": "\\yen ",
        "€": "\\euro ",
        "£": "\\pounds ",
        "＄": "\\$",
        "\u3000": " ",
        "\xa0": " ",
        "\u200b": "",
        "½": "\\frac12 ",
        "¼": "\\frac14 ",
        "¾": "\\frac34 ",
        **_DIGITS,
        **_LETTERS,
    }
)
_ROOT = re.compile(r"√\s*(\d+(?:\.\d+)?|\w|(?=[({]))")
_GROUP = r"(?<![\d.,]){head}(?:{mark}\d{{3}})+(?!\d)"
_SEPARATORS = re.compile(_GROUP.format(head=r"\d{1,3}", mark=r"(?:\{,\}|,\s*\\!\s*|\\[,;: ]|\\!,)"), re.ASCII)
_COMMAS = re.compile(_GROUP.format(head=r"\d{1,3}", mark=","), re.ASCII)
_CLOCK = re.compile(r"\b([aApP])\.\s?([mM])\b\.?")
_BRACKET = re.compile(r"\\left|\\right|[()\[\]]|\\[{}]")


def plain(text: str) -> str:
    """The text in ASCII punctuation, thousands separators of LaTeX gone."""
    if not text.isascii():
        text = _ROOT.sub(lambda m: f"\\sqrt{{{m[1]}}}" if m[1] else "\\sqrt", text.translate(_MARKS))
    text = _CLOCK.sub(r"\1\2", text)
    text = _SEPARATORS.sub(lambda m: re.sub(r"\D", "", m[0]), text)
    return text.strip().rstrip(".").strip()


def without_thousands(text: str) -> str:
    """The text without the commas of `1,234`, except between brackets, where commas part elements."""
    if "," not in text:
        return text
    pieces, depth, position = [], 0, 0
    for bracket in _BRACKET.finditer(text):
        mark = bracket[0]
        step = 1 if mark in ("(", "[", "\\{") else -1 if mark in (")", "]", "\\}") else 0
        if step and (depth == 0 or depth + step == 0):
            piece = text[position : bracket.end()]
            pieces.append(_join_thousands(piece) if depth == 0 else piece)
            position = bracket.end()
        depth = max(0, depth + step)
    rest = text[position:]
    return "".join(pieces) + (_join_thousands(rest) if depth == 0 else rest)


def _join_thousands(text: str) -> str:
    return _COMMAS.sub(lambda m: m[0].replace(",", ""), text)
