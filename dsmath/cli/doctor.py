"""Show what this machine has: how well it can contain programs, and which versions are installed.

Example:
  dsmath doctor --json
"""

import dataclasses
import importlib.metadata
import sys
from typing import Any

import rich.console
import rich.table
from absl import flags

from dsmath import config
from dsmath.error import UserError

PACKAGES = ("dsmath", "jax", "flax", "optax", "orbax-checkpoint", "grain", "sympy", "antlr4-python3-runtime", "numpy")
LIMITS = config.Sandbox(timeout_s=10.0, memory_mb=512, output_kb=64, workers=1, required_level="L0")


def define(values: flags.FlagValues) -> None:
    """The verb has no flags of its own."""


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Try every level, and return what was found."""
    from dsmath.sandbox import levels

    result = {
        "machine": levels.facts(),
        "levels": {level: _try(level) for level in levels.LEVELS},
        "limits": {name: getattr(LIMITS, name) for name in ("timeout_s", "memory_mb", "output_kb")},
        "versions": {"python": sys.version.split()[0]} | {name: _version(name) for name in PACKAGES},
    }
    if not values.json:
        _show(result)
    return result


def _try(level: str) -> str:
    """ "yes", or why the level can't be had here."""
    from dsmath.sandbox.client import Sandbox

    try:
        with Sandbox(dataclasses.replace(LIMITS, required_level=level)):
            return "yes"
    except UserError as e:
        return str(e).removeprefix(f"config.sandbox.required_level is {level}, ")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _show(result: dict[str, Any]) -> None:
    table = rich.table.Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for title, values in result.items():
        table.add_row(f"[bold]{title}[/bold]")
        for name, value in values.items():
            table.add_row(f"  {name}", str(value))
    rich.console.Console().print(table)
