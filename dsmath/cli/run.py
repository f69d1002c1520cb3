"""Run a program as an evaluation would, or a file of them.

The record: exit (ok, error, timeout, memory, output, sandbox), stdout, stderr, cpu_s, wall_s, peak_bytes, truncated,
level. With --jsonl, lines of the input hold id and code; lines of --out, in the same order, hold id and the record.

Examples:
  dsmath run program.py --json
  dsmath run --jsonl programs.jsonl --out results.jsonl --concurrency 16

A file that was interrupted goes on with the same command; until all is done, results are in OUT.partial.
"""

import collections
import dataclasses
import errno
import hashlib
import itertools
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from dsmath import config, journal
from dsmath.error import UserError
from dsmath.records import Ran

if TYPE_CHECKING:
    from dsmath.sandbox.client import Sandbox

log = logging.getLogger(__name__)

POSITIONAL = "file"


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    flags.DEFINE_string("file", None, "the program; may stand without --file", values)
    flags.DEFINE_string("jsonl", None, "a file of programs, one {id, code} a line", values)
    flags.DEFINE_string("out", None, "where their results go", values)
    flags.DEFINE_integer("concurrency", 2, "programs at a time (default: 2)", flag_values=values)
    flags.DEFINE_float("timeout_s", 10.0, "CPU seconds, and elapsed ones (default: 10)", flag_values=values)
    flags.DEFINE_integer("memory_mb", 512, "memory beyond the interpreter's (default: 512)", flag_values=values)
    flags.DEFINE_integer("output_kb", 64, "output kept of each stream (default: 64)", flag_values=values)
    flags.DEFINE_string("required_level", "L1", "refuse to run below: L0, L1, L2, L3, external", values)


def resumes(values: flags.FlagValues) -> bool:
    """Whether the same command goes on where it was: a file of programs does."""
    return bool(values.jsonl)


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Run, and return the record of the program, or how many of the file's programs ended how."""
    from dsmath.sandbox.client import Sandbox

    if bool(values.file) == bool(values.jsonl):
        raise UserError("expected one of FILE.py and --jsonl PROGRAMS; see dsmath run --help")
    if values.jsonl and not values.out:
        raise UserError("--out is missing; expected the file for the results of --jsonl")
    source = _read(Path(values.file)) if values.file else ""
    limits = config.Sandbox(
        values.timeout_s, values.memory_mb, values.output_kb, values.concurrency, values.required_level
    )
    with Sandbox(limits) as sandbox:
        if values.jsonl:
            return _run_all(sandbox, Path(values.jsonl), Path(values.out))
        record = _record(sandbox, sandbox.run(source))
    if not values.json:
        _show(record)
    return record


def _run_all(sandbox: "Sandbox", programs: Path, out: Path) -> dict[str, Any]:
    """Run a file of programs; results are written in the order of the programs, and those that are there are kept."""
    if not out.parent.is_dir():
        raise UserError(f"cannot write {out}: {os.strerror(errno.ENOENT)}; choose another --out")
    limits = dataclasses.asdict(sandbox.limits)
    with journal.continued(out, {"programs": _digest(programs), "limits": limits}) as (results, done):
        if done:
            log.info("%d results are in %s already", len(done), results.path)
        exits = collections.Counter(record["exit"] for record in done)
        for id, ran in sandbox.in_order(itertools.islice(_programs(programs), len(done), None)):
            exits[ran.exit.value] += 1
            results.append({"id": id, **_record(sandbox, ran)})
    result = {"programs": exits.total(), "exits": dict(sorted(exits.items())), "out": str(out)}
    print(f"{result['programs']} programs: {result['exits']}", file=sys.stderr)
    return result | {"level": sandbox.level}


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}; expected a file of programs") from e


def _programs(path: Path) -> Iterator[tuple[Any, str]]:
    for number, record in journal.numbered(path):
        if not isinstance(record.get("code"), str) or "id" not in record:
            raise UserError(f"{path}:{number}: expected an object with id and code, got {sorted(record)}")
        yield record["id"], record["code"]


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}; expected a Python file") from e


def _record(sandbox: "Sandbox", ran: Ran) -> dict[str, Any]:
    return dataclasses.asdict(ran) | {"exit": ran.exit.value, "level": sandbox.level["level"]}


def _show(record: dict[str, Any]) -> None:
    sys.stdout.write(record["stdout"])
    sys.stdout.flush()
    sys.stderr.write(record["stderr"])
    print(
        f"[{record['exit']}: {record['cpu_s']:.3f} s of CPU, {record['wall_s']:.3f} s elapsed, "
        f"{record['peak_bytes'] / 2**20:.0f} MB, level {record['level']}]",
        file=sys.stderr,
    )
