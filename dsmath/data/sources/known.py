"""The sources, a line for each."""

from dsmath.data.source import Source
from dsmath.data.sources import (
    annotated,
    ape210k,
    embedded,
    gsm8k,
    lila,
    math,
    mathinstruct,
    numina_tir,
    openmathinstruct1,
    school_math,
    tal_scq5k,
)
from dsmath.error import UserError

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        embedded.SOURCE,
        gsm8k.SOURCE,
        math.SOURCE,
        mathinstruct.SOURCE,
        lila.SOURCE,
        ape210k.SOURCE,
        tal_scq5k.SOURCE,
        school_math.SOURCE,
        numina_tir.SOURCE,
        openmathinstruct1.SOURCE,
        annotated.SOURCE,
    )
}


def find(name: str) -> Source:
    """The source of that name. Raises UserError if there is none."""
    if name not in SOURCES:
        raise UserError(f"no source is named {name!r}; expected one of: {', '.join(SOURCES)}")
    return SOURCES[name]
