"""A table before it is rendered, and its renderings in the terminal and in Markdown."""

import dataclasses
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text


@dataclasses.dataclass(frozen=True)
class Sheet:
    """Cells as they are shown, row by row; `note` says how to read them.

    The last `page_only` columns are too wide for a terminal, and left out there.
    """

    title: str
    header: tuple[str, ...]
    cells: Sequence[tuple[str, ...]]
    note: str | None = None
    page_only: int = 0

    def terminal(self) -> Table:
        """For a rich console."""
        shown = len(self.header) - self.page_only
        table = Table(
            *self.header[:shown],
            title=self.title,
            caption=self.note,
            title_justify="left",
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for row in self.cells:
            table.add_row(*map(Text, row[:shown]))  # Text: brackets are not markup
        return table

    def markdown(self) -> str:
        """A section of a page."""
        lines = [self.header, ("---",) * len(self.header), *self.cells]
        table = "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)
        return f"## {self.title}\n\n" + (f"{self.note}\n\n" if self.note else "") + table


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def percent(figures: dict) -> str:
    """An accuracy with its 95% interval, both in percent."""
    low, high = figures["interval"]
    return f"{figures['accuracy']:.1f} [{low:.1f}, {high:.1f}]"
