"""Graded items per second against `math-verify`: the cases with which the reference grader was recorded.

    python benchmarks/grading_vs_math_verify.py --data_dir DATA [--every 5] [--rounds 5] [--chunk 250]

Every round grades every 5th case, in one process and one thread, without time limits: chunk after chunk, by each grader
in turn, in an order that rotates. `math-verify` is called as its README says, parse and verify, with its timeouts off;
`all by SymPy` is the reference grader without its own reading of plain expressions (dsmath/score/reference/plain.py).
Ratios are medians over the rounds. Then the whole path, with worker processes and limits, grades the same cases with 1
and with 2 workers; the verdicts must be identical.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from dsmath import journal
from dsmath.score import graders, math_verify
from dsmath.score.reference import plain

OURS = ("reference", "strict")


def seconds(grade: Callable[[graders.Item], object], items: list[graders.Item]) -> float:
    """How long a chunk takes."""
    begun = time.perf_counter()
    for item in items:
        grade(item)
    return time.perf_counter() - begun


def ours(name: str) -> Callable[[graders.Item], object]:
    return lambda item: graders.grade(item.suite, item.question, item.gold_source, item.output, grader=name)


def all_by_sympy(item: graders.Item) -> object:
    with mock.patch.object(plain, "close", return_value=None):
        return ours("reference")(item)


def peer(item: graders.Item) -> bool:
    return math_verify.verify(math_verify.gold_text(item.suite, item.gold_source), item.output)


def round_of(sides: dict[str, Callable], chunks: list[list[graders.Item]]) -> dict[str, float]:
    """Seconds of each side for all chunks, taken in turns."""
    total = dict.fromkeys(sides, 0.0)
    order = itertools.cycle(sides)
    for chunk in chunks:
        for _ in sides:
            name = next(order)
            total[name] += seconds(sides[name], chunk)
        next(order)
    return total


def pooled(name: str, items: list[graders.Item], workers: int) -> tuple[list[graders.Verdict], float]:
    """The verdicts of the whole path, and its seconds, the start of the workers included."""
    begun = time.perf_counter()
    verdicts = list(graders.grade_all(items, grader=name, workers=workers))
    return verdicts, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunk", type=int, default=250)
    args = parser.parse_args()

    cases = list(journal.read(args.data_dir / "grader_reference" / "dev.jsonl"))[:: args.every]
    items = [graders.Item(c["suite"], c["question"], c["gold_source"], c["output"]) for c in cases]
    chunks = [items[i : i + args.chunk] for i in range(0, len(items), args.chunk)]
    sides = {**{name: ours(name) for name in OURS}, "all by SymPy": all_by_sympy, "math-verify": peer}
    for name in (*OURS, "math_verify"):
        graders.find(name).check()

    rounds = [round_of(sides, chunks) for _ in range(args.rounds)]
    ratios = {name: statistics.median(r["math-verify"] / r[name] for r in rounds) for name in sides}
    saved = statistics.median(r["all by SymPy"] / r["reference"] for r in rounds)
    speeds = {name: len(items) / statistics.median(r[name] for r in rounds) for name in sides}
    print(f"{len(items)} cases, {args.rounds} rounds, one process")
    print(f"{'':12} {'items/s':>10} {'times math-verify':>18}")
    for name, speed in speeds.items():
        print(f"{name:12} {speed:10.0f} {ratios[name]:18.1f}")
    print(f"reference is {saved:.1f} times as fast as all by SymPy")
    whole = {}
    for name in OURS:
        (one, one_s), (two, two_s) = (pooled(name, items, workers) for workers in (1, 2))
        assert one == two, f"{name}: verdicts differ between 1 and 2 workers"
        whole[name] = {"1": len(items) / one_s, "2": len(items) / two_s}
        print(
            f"{name} with workers: {whole[name]['1']:.0f} items/s with 1, {whole[name]['2']:.0f} with 2, same verdicts"
        )
    speeds_of = {"items_per_s": speeds, "with_workers": whole}
    print(json.dumps({"cases": len(items), "ratios": ratios, "plain": saved, **speeds_of}))


if __name__ == "__main__":
    main()
