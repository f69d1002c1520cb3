"""List the systems of the paper's Table 5, and some more: what each is, and whether it can be evaluated here.

`dsmath evaluate --system NAME` asks one as its authors do.

Example:
  dsmath systems
  dsmath systems --json
"""

import sys
from typing import Any

import rich.box
import rich.console
import rich.table
from absl import flags

from dsmath.systems import roster
from dsmath.systems.system import System


def define(values: flags.FlagValues) -> None:
    """The verb has no flags of its own."""


def run(values: flags.FlagValues) -> list[dict[str, Any]]:
    """List, and return the list."""
    rows = list(map(as_json, roster.SYSTEMS.values()))
    table = rich.table.Table(
        rich.table.Column("System", no_wrap=True),
        rich.table.Column("In Table 5; weights or model", overflow="fold"),
        rich.table.Column("Modes; state"),
        box=rich.box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for row in rows:
        where = "\n".join(filter(None, (row["title"], row["weights"] or row["model"])))
        table.add_row(row["name"], where, f"{' '.join(row['modes'])}\n{row['state']}")
    rich.console.Console(file=sys.stderr if values.json else sys.stdout).print(table)
    return rows


def as_json(system: System) -> dict[str, Any]:
    """A system as JSON values."""
    weights, served = system.weights, system.served
    return {
        "name": system.name,
        "title": system.title,
        "open": weights is not None,
        "state": system.state,
        "weights": weights.repository if weights else None,
        "licence": weights.license if weights else None,
        "family": weights.family if weights else None,
        "parameters": weights.parameters if weights else None,
        "models_then": list(served.models) if served else [],
        "model": served.model if served else None,
        "retired": served.retired if served else None,
        "modes": list(system.ways),
        "unconfirmed": list(system.unconfirmed),
    }
