r"""Characters and spacing of an answer, brought to plain LaTeX."""

import re

_DIGITS = {chr(ord("０") + i): str(i) for i in range(10)}
_LETTERS = {chr(ord(first) + i): chr(ord(plain) + i) for first, plain in (("Ａ", "A"), ("ａ", "a")) for i in range(26)}
_PLAIN: dict[str, str] = {
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
    "∩": "\\cap ",
    "∖": "\\setminus ",
    "ℝ": "\\mathbb{R}",
    "°": "^\\circ ",
    "º": "^\\circ ",
    "˚": "^\\circ ",
    "￥": "\\yen ",
    "¥": "\\yen ",
    "€": "\\euro ",
    "£": "\\pounds ",
    "＄": "\\$",
    "\u3000": " ",
    "\xa0": " ",
    "\u200b": "",
    "∅": "\\emptyset ",
    "“": "",
    "”": "",
    "⅓": "\\frac13 ",
    "⅔": "\\frac23 ",
    "½": "\\frac12 ",
    "¼": "\\frac14 ",
    "¾": "\\frac34 ",
    **_DIGITS,
    **_LETTERS,
}
_MARKS = str.maketrans(_PLAIN)
_SUPERSCRIPT = re.compile("[⁻⁰¹²³⁴-⁹]+")
_RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_ROOT = re.compile(r"√\s*(\d+(?:\.\d+)?|\w|(?=[({]))")
_GROUP = r"(?<![\d.,]){head}(?:{mark}\d{{3}})+(?!\d)"
_SEPARATORS = re.compile(_GROUP.format(head=r"\d{1,3}", mark=r"(?:\{,\}|,\s*\\!\s*|\\[,;: ]|\\!,)"), re.ASCII)
_COMMAS = re.compile(_GROUP.format(head=r"\d{1,3}", mark=",") + r"|(?P<bracket>[()\[\]]|\\[{}])", re.ASCII)
_UNION = re.compile(r"(?<=[)\]])\s*U\s*(?=[(\[])")
_SET_BUILDER = re.compile(r"\\\{\s*[a-z]\s*(?:\\in\s*\\mathbb\{R\}\s*)?(?:\\mid(?![a-z])|\||:)(.*)\\\}", re.DOTALL)
_WRAPPED = re.compile(r"\\(?:text|mbox|mathrm|textbf)\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_FORMULA = re.compile(r"[\\^=+*/]|-\s*\d|\d\s*-")
_CLOCK = re.compile(r"\b([aApP])\.\s?([mM])\b\.?")
_TIMES_TEN = re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*(?:\^|\*\*))")
_PARTS = re.compile(r"(\d+)分之(\d+)", re.ASCII)
_AND_A_PART = re.compile(r"(?<=\d)\s*又\s*(?=\d|\\[dt]?frac)")
_BRACKETED_UNIT = re.compile(r"(?<=\d)\s*\(\s*([^\x00-\x7f]+|[A-Za-z]{4,}(?: [A-Za-z]+)*)\s*\)$")
_IMAGINARY = re.compile(r"(?<=\d)j(?![a-zA-Z])")  # as Python prints it
_HYPHEN = re.compile(r"\b((?:twen|thir|for|fif|six|seven|eigh|nine)ty)-(?=[a-z])", re.IGNORECASE)


def plain(text: str) -> str:
    """The text in ASCII punctuation, thousands separators of LaTeX gone."""
    if not text.isascii():
        text = _SUPERSCRIPT.sub(lambda m: f"^{{{m[0].translate(_RAISED)}}}", text)
        text = _ROOT.sub(lambda m: f"\\sqrt{{{m[1]}}}" if m[1] else "\\sqrt", text.translate(_MARKS))
        text = _AND_A_PART.sub(" ", _PARTS.sub(r"\\frac{\2}{\1}", text))
    text = _IMAGINARY.sub("i", text) if "i" not in text else text
    text = _BRACKETED_UNIT.sub(r" \1", _TIMES_TEN.sub(r"\\times ", text.strip()))
    text = _HYPHEN.sub(r"\1 ", _CLOCK.sub(r"\1\2", text))
    text = _SEPARATORS.sub(lambda m: re.sub(r"\D", "", m[0]), text)
    text = _UNION.sub(r"\\cup ", text).strip().rstrip(".").strip()
    if (wrapped := _WRAPPED.fullmatch(text)) and _FORMULA.search(wrapped[1]):
        text = wrapped[1]
    builder = _SET_BUILDER.fullmatch(text)
    return builder[1] if builder else text


def without_thousands(text: str) -> str:
    """The text without the commas of `1,234`.

    Between brackets commas part elements, unless one of them would start with a zero, as in `(75,075)`.
    """
    depth = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal depth
        if match["bracket"]:
            depth = max(0, depth + (1 if match["bracket"] in ("(", "[", "\\{") else -1))
            return match[0]
        return match[0].replace(",", "") if depth == 0 or ",0" in match[0] else match[0]

    return _COMMAS.sub(replace, text) if "," in text else text
