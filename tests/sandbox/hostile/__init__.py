"""Hostile and broken programs, by what they go for. `judge.py` runs them and looks at the damage from outside."""

import importlib

from tests.sandbox.hostile.program import Program

GROUPS = ("processes", "memory", "files", "reach", "network", "privileges", "poison", "hangs", "broken")
PROGRAMS: dict[str, Program] = {
    f"{group}/{program.name}": program
    for group in GROUPS
    for program in importlib.import_module(f"{__name__}.{group}").PROGRAMS
}
