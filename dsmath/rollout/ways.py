"""How a model is asked: its prompt, and what becomes of what it writes, for each suite and mode."""

import dataclasses
from collections.abc import Callable

from dsmath.rollout.protocols import Protocol
from dsmath.text.template import Template


@dataclasses.dataclass(frozen=True)
class Way:
    """How a model is asked in one mode."""

    template: Template
    protocol: Protocol
    otherwise: Template | None = None  # in mode "pot": how it is asked again, for a chain of thought, if that fails


Ways = Callable[[str, str], Way]  # by the names of a suite and a mode; raises UserError for a mode that there isn't


def always(template: Template, protocol: Protocol) -> Ways:
    """One way for every suite and mode."""
    return lambda suite, mode: Way(template, protocol)
