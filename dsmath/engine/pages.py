"""The accounts of a paged cache: who uses which page, and what a page is known to hold. Plain Python, no jax.

Pages are counted: a page belongs to all sequences that begin with what it holds, and is free once none uses it. A free
page that is known to hold the beginning of a sequence keeps it until another one needs the room, the one that was used
longest ago first; so few-shot prefixes, the template's first words and the prompt of a problem's samples are computed
once.
"""

from collections import OrderedDict
from typing import NamedTuple

ROOT = -1  # the page before the first

Ids = tuple[int, ...]


class _Entry(NamedTuple):
    """What a page is known to hold, and the page before it."""

    parent: int
    ids: Ids


class Match(NamedTuple):
    """The beginning of a sequence that is in pages already."""

    pages: list[int]  # all full of it, except the last one perhaps
    length: int  # tokens
    later: int  # tokens that would match once the present dispatch has written them


class Pages:
    """`count` pages of `size` tokens each."""

    def __init__(self, count: int, size: int):
        self.count, self.size = count, size
        self._uses = [0] * count
        self._free = list(reversed(range(count)))
        self._idle: OrderedDict[int, None] = OrderedDict()  # unused but known, the one idle for longest first
        self._entries: dict[int, _Entry] = {}
        self._children: dict[int, dict[int, None]] = {ROOT: {}}
        self._full: dict[_Entry, int] = {}
        self._unwritten: set[int] = set()  # pages of which more is known since `written`

    @property
    def available(self) -> int:
        """Pages that nobody uses."""
        return len(self._free) + len(self._idle)

    @property
    def used(self) -> float:
        """The share of all pages that is in use."""
        return 1 - self.available / self.count

    def is_shared(self, page: int) -> bool:
        """Whether several sequences use it."""
        return self._uses[page] > 1

    def take(self, count: int) -> list[int]:
        """Pages of one's own; what they held is forgotten. Raises ValueError where fewer are available."""
        if count > self.available:
            raise ValueError(f"{count} pages are asked for, {self.available} are available; free some first")
        while len(self._free) < count:
            self._forget(next(iter(self._idle)))
        pages = [self._free.pop() for _ in range(count)]
        for page in pages:
            self._uses[page] = 1
        return pages

    def share(self, page: int) -> None:
        """Count one more user of a page that is in use or known."""
        self._idle.pop(page, None)
        self._uses[page] += 1

    def release(self, pages: list[int]) -> None:
        """Count one user less of each. The last pages of a sequence are the first to be given to others."""
        for page in reversed(pages):
            self._uses[page] -= 1
            if self._uses[page] == 0:
                if page in self._entries:
                    self._idle[page] = None
                else:
                    self._free.append(page)

    def written(self) -> None:
        """All that is known is written by dispatches that were begun."""
        self._unwritten.clear()

    def match(self, ids: Ids) -> Match:
        """The longest known beginning of these ids. Its pages are not counted yet: `share` does that."""
        pages: list[int] = []
        parent, length = ROOT, 0
        while (page := self._full.get(_Entry(parent, ids[length : length + self.size]))) is not None:
            pages.append(page)
            parent, length = page, length + self.size
        rest = ids[length:]
        found = {page: common(self._entries[page].ids, rest) for page in self._children[parent]}
        settled = max((p for p in found if p not in self._unwritten), key=found.__getitem__, default=None)
        more = found[settled] if settled is not None else 0
        if settled is not None and more:
            pages.append(settled)
        return Match(pages, length + more, length + max(found.values(), default=0))

    def know(self, pages: list[int], ids: Ids) -> None:
        """Note that these pages, one behind the other, hold these ids, or will with the present dispatch.

        Ends where another page is known for the same: one is enough.
        """
        parent = ROOT
        for i, page in enumerate(pages):
            part = ids[i * self.size : (i + 1) * self.size]
            entry = _Entry(parent, part)
            if not part or self._full.get(entry, page) != page:
                return
            known = self._entries.get(page)
            if known is None:
                self._children[page] = {}
                self._children[parent][page] = None
            if known is None or len(known.ids) < len(part):
                self._entries[page] = entry
                self._unwritten.add(page)
            if len(part) < self.size:
                return
            self._full[entry] = page
            parent = page

    def cut(self, page: int, length: int) -> None:
        """Only the first tokens of a page still hold: what follows is about to be written anew."""
        known = self._entries.get(page)
        if known is None or len(known.ids) <= length:
            return
        self._forget_after(page)
        self._full.pop(known, None)
        if length:
            self._entries[page] = _Entry(known.parent, known.ids[:length])
        else:
            self._drop(page)

    def forget(self) -> None:
        """Know nothing any more of what pages hold."""
        for page in list(self._children[ROOT]):
            self._forget(page)

    def _forget(self, page: int) -> None:
        """Forget a page and what follows it; those that nobody uses are free."""
        self._forget_after(page)
        self._full.pop(self._entries[page], None)
        self._drop(page)

    def _forget_after(self, page: int) -> None:
        for child in list(self._children[page]):
            self._forget(child)

    def _drop(self, page: int) -> None:
        del self._children[self._entries.pop(page).parent][page]
        del self._children[page]
        if page in self._idle:
            del self._idle[page]
            self._free.append(page)


def common(a: Ids, b: Ids) -> int:
    """How many leading ids are the same."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))
