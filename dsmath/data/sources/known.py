"""The sources, a line for each."""

from dsmath.data.source import Source
from dsmath.data.sources import annotated, embedded, gsm8k
from dsmath.error import UserError

SOURCES: dict[str, Source] = {source.name: source for source in (embedded.SOURCE, gsm8k.SOURCE, annotated.SOURCE)}


def find(name: str) -> Source:
    """The source of that name. Raises UserError if there is none."""
    if name not in SOURCES:
        raise UserError(f"no source is named {name!r}; expected one of: {', '.join(SOURCES)}")
    return SOURCES[name]
