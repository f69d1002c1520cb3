"""All systems by name."""

from dsmath.error import UserError
from dsmath.systems import alpaca, served
from dsmath.systems.system import System

SYSTEMS = {system.name: system for system in (*alpaca.SYSTEMS, *served.SYSTEMS)}


def find(name: str) -> System:
    """The system of that name. Raises UserError if there is none."""
    if name not in SYSTEMS:
        raise UserError(f"no system is named {name!r}; `dsmath systems` lists them")
    return SYSTEMS[name]
