"""Stop texts: found in the decoded text while it grows, and cut off with what came after them."""

from collections.abc import Sequence

from dsmath.text.tokenizer import Tokenizer

_UNFINISHED = "\ufffd"  # what an incomplete UTF-8 sequence decodes to
_PATIENCE = 4  # tokens: the bytes of the longest UTF-8 sequence


class Watch:
    """Watches a growing sequence of ids for stop texts. Each call decodes a few tokens, however long the text is."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str]):
        self._tokenizer = tokenizer
        self._stops = [s for s in stops if s]
        self._overlap = max((len(s) for s in self._stops), default=1) - 1
        self._ids: list[int] = []
        self._window = 0  # decoding starts here: some tokens depend on the one before
        self._read = 0  # the text of ids before this is settled
        self._tail = ""  # the end of the settled text, as much as a stop may begin in

    def extend(self, ids: Sequence[int]) -> bool:
        """Take more ids; whether a stop text has appeared."""
        if not self._stops:
            return False
        self._ids.extend(ids)
        before = self._decode(self._window, self._read)
        if any(stop in self._tail + self._decode(self._window, len(self._ids))[len(before) :] for stop in self._stops):
            return True
        for end in range(len(self._ids), max(self._read, len(self._ids) - _PATIENCE), -1):
            text = self._decode(self._window, end)
            if not text.endswith(_UNFINISHED) or end == len(self._ids) - _PATIENCE + 1:
                settled = self._tail + text[len(before) :]
                self._tail = settled[max(0, len(settled) - self._overlap) :]
                self._window, self._read = self._read, end
                break
        return False

    def _decode(self, start: int, end: int) -> str:
        return self._tokenizer.decode(self._ids[start:end])


def cut(tokenizer: Tokenizer, ids: Sequence[int], stops: Sequence[str]) -> tuple[tuple[int, ...], str, str, str]:
    """The ids wholly before a stop text, the text before it, the part of it after these ids, and which it is, or "".

    Of several stop texts the one that is complete first counts, which is the one that a token-by-token reader meets.
    """
    text = tokenizer.decode(ids)
    found = [(start + len(stop), start, stop) for stop in stops if stop and (start := text.find(stop)) >= 0]
    if not found:
        return tuple(ids), text, "", ""
    _, start, first = min(found)
    text = text[:start]
    for n in range(len(ids), -1, -1):
        whole = tokenizer.decode(ids[:n])
        if len(whole) <= len(text) and text.startswith(whole):
            return tuple(ids[:n]), text, text[len(whole) :], first
    raise AssertionError("no ids decode to no text")
