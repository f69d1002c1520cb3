"""What a mixture is: sources in their order, what is taken of each, and what decides on its content."""

from typing import Any

from dsmath.config import Config, Data, Part, need
from dsmath.data.sources import known
from dsmath.error import UserError
from dsmath.records import MODES
from dsmath.suites import catalogue


def checked(config: Config) -> Data:
    """The data section of a config. Raises UserError for what can't be prepared."""
    data = need(config.data, "data")
    _some_of("sources", data.sources, tuple(known.SOURCES))
    _some_of("modes", data.modes, MODES)
    for name, part in data.parts.items():
        if name not in data.sources:
            raise UserError(f"config.data.parts has {name!r}; expected one of config.data.sources: {data.sources}")
        if part.modes is not None:
            _some_of(f"parts.{name}.modes", part.modes, known.find(name).modes)
    for suite in data.decontaminate:
        catalogue.find(suite)
    for name in data.sources:
        if not modes(data, name):
            raise UserError(
                f"config.data.modes is {data.modes}, of which {name} gives none; it has {known.find(name).modes}"
            )
    if "embedded" in data.sources and data.embedded_problems < 1:
        raise UserError(f"config.data.embedded_problems is {data.embedded_problems}; expected at least 1")
    return data


def part(data: Data, source: str) -> Part:
    """What is taken of a source."""
    return data.parts.get(source, Part())


def modes(data: Data, source: str) -> tuple[str, ...]:
    """The modes that a source gives examples in."""
    wanted = part(data, source).modes or data.modes
    return tuple(mode for mode in known.find(source).modes if mode in wanted)


def settings(config: Config) -> dict[str, Any]:
    """The fields of a config that decide on what is written, by dotted name."""
    data = need(config.data, "data")
    counts = {f"data.parts.{name}.count": part(data, name).count for name in data.sources}
    drawn = any(counts.values()) or "embedded" in data.sources
    return {
        "data.sources": list(data.sources),
        **{f"data.modes.{name}": list(modes(data, name)) for name in data.sources},
        **counts,
        "data.decontaminate": list(data.decontaminate),
        "data.near_duplicates": data.near_duplicates,
        **({"data.embedded_problems": data.embedded_problems} if "embedded" in data.sources else {}),
        **({"seed": config.seed} if drawn else {}),
    }


def _some_of(field: str, values: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    if not values or not set(values) <= set(allowed) or len(set(values)) < len(values):
        raise UserError(f"config.data.{field} is {values}; expected one or more of {', '.join(allowed)}, each once")
