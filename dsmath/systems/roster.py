"""All systems by name."""

from dsmath.error import UserError
from dsmath.systems import alpaca, chats, deepseek, interpreters, served, tora
from dsmath.systems.system import System

_KINDS = (deepseek, interpreters, chats, alpaca, tora, served)
SYSTEMS = {system.name: system for kind in _KINDS for system in kind.SYSTEMS}


def find(name: str) -> System:
    """The system of that name. Raises UserError if there is none."""
    if name not in SYSTEMS:
        raise UserError(f"no system is named {name!r}; `dsmath systems` lists them")
    return SYSTEMS[name]
