"""The list of systems, as a user and a program see it."""

import json
import os
import subprocess
import sys

import pytest

from dsmath.systems.roster import SYSTEMS


def listed(*args: str, columns: int = 120) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dsmath.cli.main", "systems", *args]
    env = os.environ | {"COLUMNS": str(columns)}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env)


def test_as_json_it_is_a_list_of_records():
    done = listed("--json")
    (line,) = done.stdout.splitlines()
    rows = json.loads(line)
    assert [row["name"] for row in rows] == list(SYSTEMS)
    for row in rows:
        assert row.keys() >= {"name", "title", "open", "state", "weights", "licence", "modes"}
        assert isinstance(row["open"], bool)
        assert row["state"]
        assert row["title"]
        assert row["open"] == (row["weights"] is not None)
    meta = next(row for row in rows if row["name"] == "metamath-70b")
    assert (meta["title"], meta["weights"], meta["licence"], meta["modes"]) == (
        *("MetaMath", "meta-math/MetaMath-70B-V1.0", "Llama 2"),
        ["cot"],
    )


@pytest.mark.parametrize("columns", [80, 120])
def test_as_a_table_it_has_every_name_whole_and_nothing_is_cut(columns):
    lines = listed(columns=columns).stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert "…" not in "".join(lines)
    assert [name for line in lines if (name := line[1:].partition(" ")[0]) in SYSTEMS] == list(SYSTEMS)
    text = "".join("".join(lines).split())
    if columns == 120:
        assert all((system.weights.repository if system.weights else system.title) in text.replace(" ", "")
                   or system.served for system in SYSTEMS.values())  # fmt: skip
