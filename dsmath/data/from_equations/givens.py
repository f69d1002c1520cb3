"""What a Chinese question says about its numbers: their measure words, and the one that it asks for."""

import re
from fractions import Fraction

LONGEST = 2_000  # characters of a question that are read

_AREAS = "平方千米 平方米 平方分米 平方厘米 平方毫米 立方米 立方分米 立方厘米 公顷"
_LENGTHS = "千米 公里 分米 厘米 毫米 米"
_MASSES = "千克 公斤 克 吨 毫升 升"
_TIMES = "小时 分钟 秒钟 秒 个月 星期 周岁 岁 天 日 年 时 分"
_MONEY = "万元 元 角"
_COUNTS = (
    "个 只 本 人 名 棵 株 朵 支 枝 张 块 条 根 辆 台 架 艘 件 套 双 箱 筐 袋 盒 瓶 桶 包 组 排 行 列 页 字 道 题 次 "
    "层 级 段 份 头 匹 间 座 户 盆 盏 面 幅 枚 颗 粒 片 杯 步 圈 节 篇 位 把 束 捆 堆 副 顶 艘 盘 度 倍"
)
_NO_MEASURE = {  # what follows where the character is the start of another word
    "分": "之数成给别解配母子为到",
    "时": "候间刻",
    "日": "期",
    "年": "级",
    "面": "积上",
    "组": "成",
    "行": "驶走程",
    "位": "置上数",
    "度": "数",
    "个": "位",
    "次": "方",
    "把": "它这",
    "列": "式出",
    "倍": "数",
    "字": "形",
    "条": "件",
}


def _measure() -> str:
    words = sorted(" ".join((_AREAS, _LENGTHS, _MASSES, _TIMES, _MONEY, _COUNTS)).split(), key=len, reverse=True)
    one = "|".join(word + (f"(?![{_NO_MEASURE[word]}])" if word in _NO_MEASURE else "") for word in words)
    return rf"(?:{one})(?:/(?:小时|分钟|时|分|秒|个|千克|元))?"


_MEASURE = _measure()
_DECIMAL = r"\d{1,20}(?:\.\d{1,20})?"
_NUMBER = re.compile(
    rf"(?<![\d./])(?P<number>\d{{0,20}}\(\d{{1,20}}/\d{{1,20}}\)|{_DECIMAL})(?![\d./])(?:%|(?P<unit>{_MEASURE}))?",
    re.ASCII,
)
_ASKED = re.compile(rf"(?:多少|几)(?P<unit>{_MEASURE})?")
_ASCII = str.maketrans("０１２３４５６７８９（）／％", "0123456789()/%")  # ．ends sentences


class Givens:
    """The numbers of a question as they were written, `(3/7)` for a fraction, with their measure words."""

    def __init__(self, question: str):
        text = question[:LONGEST].translate(_ASCII)
        self._units: dict[str, set[str]] = {}
        self._texts: set[str] = set()
        for match in _NUMBER.finditer(text):
            self._texts.add(match[0].removesuffix(match["unit"] or ""))
            if not match[0].endswith("%"):
                self._units.setdefault(match["number"], set()).add(match["unit"] or "")
        asked = [match["unit"] or "" for match in _ASKED.finditer(text)]
        self.asked = asked[0] if len(asked) == 1 else ""  # the measure word of what a question with one blank wants
        self.circles = "圆" in text

    def __contains__(self, number: str) -> bool:
        return number in self._units

    def unit(self, number: str) -> str:
        """The measure word behind a number, "" where there is none, or where it has several."""
        units = self._units.get(number, {""})
        return next(iter(units)) if len(units) == 1 else ""

    def is_bare(self, number: str) -> bool:
        """Whether a number is given, and never with a measure word."""
        return self._units.get(number) == {""}

    def values(self) -> set[Fraction]:
        """The numbers' values; 30% is 3/10."""
        read = (_value(text) for text in self._texts)
        return {value for value in read if value is not None}


def _value(text: str) -> Fraction | None:
    whole, bracket, part = text.removesuffix("%").partition("(")
    above, _, below = part.removesuffix(")").partition("/")
    if bracket and not int(below):
        return None
    value = Fraction(whole or 0) + (Fraction(int(above), int(below)) if bracket else 0)
    return value / 100 if text.endswith("%") else value
