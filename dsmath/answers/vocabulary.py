"""Words that carry mathematics: units with their sizes, numbers, currencies."""

import re
from fractions import Fraction


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


_UNITS = {
    "length": {
        "mm millimeter millimetre 毫米": Fraction(1, 1000),
        "cm centimeter centimetre 厘米": Fraction(1, 100),
        "dm decimeter decimetre 分米": Fraction(1, 10),
        "m meter metre 米": Fraction(1),
        "km kilometer kilometre 千米 公里": Fraction(1000),
    },
    "imperial length": {
        "in inch inches": Fraction(1),
        "ft foot feet": Fraction(12),
        "yd yard": Fraction(36),
        "mi mile": Fraction(63360),
    },
    "mass": {
        "mg milligram 毫克": Fraction(1, 1000),
        "g gram gm 克": Fraction(1),
        "kg kilogram 千克 公斤": Fraction(1000),
        "t ton tonne 吨": Fraction(10**6),
    },
    "imperial mass": {"oz ounce": Fraction(1), "lb lbs pound": Fraction(16)},
    "time": {
        "s sec second 秒": Fraction(1),
        "min minute 分钟": Fraction(60),
        "h hr hour 小时": Fraction(3600),
        "day 天": Fraction(86400),
        "week 周 星期": Fraction(7 * 86400),
    },
    "volume": {"ml milliliter millilitre 毫升": Fraction(1), "l L liter litre 升": Fraction(1000)},
    "dollars": {"cent cents ¢": Fraction(1), "$ dollar usd": Fraction(100)},
    "yuan": {"分": Fraction(1), "角": Fraction(10), "元 yuan rmb 块": Fraction(100)},
    "angle": {"degree 度": Fraction(1)},
    "morning": {"am": Fraction(1)},
    "afternoon": {"pm": Fraction(1)},
}
UNITS = {
    name: (dimension, size)
    for dimension, units in _UNITS.items()
    for names, size in units.items()
    for name in names.split()
}
_SQUARE = re.compile(r"^(?:square|sq\.?|平方)\s*(.+)$")
_CUBE = re.compile(r"^(?:cubic|cu\.?|立方)\s*(.+)$")

_ENGLISH = {
    **{"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9},
    **{"ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16},
    **{"seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50},
    **{"sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90},
}
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_CHINESE = {digit: i for i, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_CHINESE_SCALES = {"十": 10, "百": 100, "千": 1000}
_CHINESE_GROUPS = {"万": 10**4, "亿": 10**8}


def unit(name: str, power: int = 1) -> tuple[str, Fraction] | None:
    """Dimension and size of a unit, as in ("length", 1/100) for cm; None if the word is no unit but a noun."""
    name = name.strip().rstrip(".")
    for pattern, exponent in ((_SQUARE, 2), (_CUBE, 3)):
        if match := pattern.match(name):
            name, power = match[1], exponent
    found = UNITS.get(name) or UNITS.get(name.lower()) or UNITS.get(name.lower().removesuffix("s"))
    return (f"{found[0]}^{power}", found[1] ** power) if found else None


def number(text: str) -> Fraction | None:
    """The value of a number in English or Chinese words, as in "forty two", 四十二, 三分之一."""
    below, fraction, above = text.strip().partition("分之")
    if fraction:
        parts = (number(above), Fraction(100) if below == "百" else number(below))
        return parts[0] / parts[1] if parts[0] is not None and parts[1] else None
    if (part := _part(text)) is not None:
        return part
    value = _whole(text)
    return None if value is None else Fraction(value)


def scale(text: str) -> tuple[Fraction, str] | None:
    """The factor that a word behind a number stands for, and the words behind it, as in "million people" and 万元."""
    head, _, rest = text.partition(" ")
    if head.lower() in _SCALES:
        return Fraction(_SCALES[head.lower()]), rest
    if text[:1] in _CHINESE_GROUPS:
        return Fraction(_CHINESE_GROUPS[text[0]]), text[1:]
    return None


def _part(text: str) -> Fraction | None:
    """`half`, `one half`, `two thirds`."""
    head, _, last = text.strip().lower().replace("-", " ").rpartition(" ")
    below = _PARTS.get(last) or _PARTS.get(last.removesuffix("s"))
    above = _whole(head) if head else 1 if last == "half" else None
    return Fraction(above, below) if below and above is not None else None


def _whole(text: str) -> int | None:
    words = re.findall(r"[a-z]+", text.lower())
    if words and re.fullmatch(r"[A-Za-z\s-]+", text):
        return _english(words)
    text = text.strip()
    return _chinese(text) if text and set(text) <= {*_CHINESE, *_CHINESE_SCALES, *_CHINESE_GROUPS} else None


def _english(words: list[str]) -> int | None:
    total = current = 0
    seen = False
    for word in words:
        if word in _ENGLISH:
            current += _ENGLISH[word]
            seen = True
        elif word in _SCALES and seen:
            if word == "hundred":
                current *= 100
            else:
                total, current = total + current * _SCALES[word], 0
        elif word != "and" or not seen:
            return None
    return total + current if seen else None


def _chinese(text: str) -> int:
    total = group = digit = 0
    for character in text:
        if character in _CHINESE:
            digit = digit * 10 + _CHINESE[character] if digit else _CHINESE[character]
        elif character in _CHINESE_SCALES:
            group += (digit or 1) * _CHINESE_SCALES[character]
            digit = 0
        else:
            total = (total + group + digit) * _CHINESE_GROUPS[character]
            group = digit = 0
    return total + group + digit
