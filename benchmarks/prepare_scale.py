"""A training set of the paper's size, prepared: time, memory, and examples a second of each stage.

    python benchmarks/prepare_scale.py --data_dir D [--examples 776000] [--workers 2] [--stages_of 20000]

Made-up word problems in GSM8K's layout, each with a chain of thought and a program (two examples), among them, each 1%:
problems that are there twice, and problems with a sentence of a benchmark. First, on `stages_of` examples, each stage
alone at 1 and 2 workers; then all of them, with the most memory that the processes had together (proportional set size,
sampled). D holds the benchmarks, which it is decontaminated against. What was planted is counted in the end.
"""

import argparse
import json
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from dsmath import config, journal, recipes
from dsmath.cli import prepare
from dsmath.data import inputs, mixture, preparation, prepared
from dsmath.data.beam import pipelines
from dsmath.data.beam.pipelines import Runner
from dsmath.data.stages import raw
from dsmath.suites import catalogue

SAMPLE_S = 0.5
PLANTED = 100  # one row in so many is there twice, and one has a sentence of a benchmark
NAMES = (
    "Ada",
    "Ben",
    "Cleo",
    "Dan",
    "Eve",
    "Finn",
    "Gus",
    "Hal",
    "Ida",
    "Jon",
    "Kim",
    "Lea",
    "Mia",
    "Ned",
    "Ola",
    "Pia",
)
THINGS = (
    "apples",
    "bolts",
    "cards",
    "discs",
    "eggs",
    "forks",
    "gems",
    "hats",
    "inks",
    "jars",
    "kites",
    "lamps",
    "oars",
)
PLACES = ("attic", "barn", "cellar", "depot", "engine", "factory", "garage", "harbour", "kitchen", "library", "market")


def rows(count: int, leaks: list[str]) -> Iterator[dict[str, str]]:
    """Made-up problems in three steps, in GSM8K's layout."""
    r = random.Random(0)
    before = None
    for i in range(count):
        a, b, c, d = r.randrange(3, 10_000), r.randrange(2, 100), r.randrange(2, 50), r.randrange(1, 1000)
        (who, other), (what, with_), where = r.sample(NAMES, 2), r.sample(THINGS, 2), r.choice(PLACES)
        question = (
            f"{who} keeps {a} {what} in the {where} and buys {b} boxes of {c} {what} more. {other} takes {d} {what} to "
            f"trade them for {with_} number {i}. How many {what} has {who} in the {where} then?"
        )
        x, y = b * c, a + b * c
        answer = (
            f"The boxes hold {b}*{c}=<<{b}*{c}={x}>>{x} {what}.\n"
            f"With those there are {a}+{x}=<<{a}+{x}={y}>>{y} {what}.\n"
            f"Without what {other} takes, {y}-{d}=<<{y}-{d}={y - d}>>{y - d} are left.\n#### {y - d}"
        )
        row = {"question": question, "answer": answer}
        if i % PLANTED == 1 and before is not None:
            row = before
        elif i % PLANTED == 2:
            row["question"] = f"{r.choice(leaks)} {question}"
        before = row
        yield row


def data_folder(folder: Path, data_dir: Path, count: int) -> Path:
    """A new DATA_DIR with made-up training rows beside links to the benchmarks' test files; D is only read."""
    for name in recipes.BENCHMARKS:
        for path in (data_dir / name).glob("*"):
            if "train" not in path.name:
                (folder / name).mkdir(parents=True, exist_ok=True)
                (folder / name / path.name).symlink_to(path.resolve())
    questions = [problem.question for problem in catalogue.problems("gsm8k", data_dir)]
    with (folder / "gsm8k" / "train.jsonl").open("x") as file:  # "x" opens nothing that is there, links included
        file.writelines(json.dumps(row) + "\n" for row in rows(count, questions))
    return folder


def settings() -> config.Config:
    """The experiment: SmolLM2's tokenizer counts tokens."""
    given = recipes.experiment(
        start=recipes.start("smollm2", template="chatml"),
        data=recipes.data("gsm8k", near_duplicates=0.8),
        sandbox=recipes.sandbox(),
    )
    return config.parse(config.Config, given.to_dict())


def by_stage(data_dir: Path, examples: int, workers: int) -> dict[str, float]:
    """Examples a second of each stage, by running the pipeline again without what it and those behind it made."""
    wanted, seconds = settings(), {}
    data = mixture.checked(wanted)
    found = inputs.find(wanted, data, data_dir, allow_missing=False)
    with tempfile.TemporaryDirectory() as temporary:
        work, runner = Path(temporary), Runner(workers=workers)
        stages = preparation.stages_of(wanted, data, found, work, runner)
        begun = time.perf_counter()
        shards = raw.write(found.sources["gsm8k"].source, found.sources["gsm8k"].rows(), stages.raw["gsm8k"])
        seconds["rows"] = time.perf_counter() - begun
        apart_from = [{"id": problem.id, "question": problem.question} for problem in found.benchmarks]
        journal.write(stages.benchmarks, map(journal.line, apart_from))

        def run() -> float:
            begun = time.perf_counter()
            pipelines.find(stages, shards, work / "candidates", runner)
            return time.perf_counter() - begun

        run()
        nothing = run()  # all is there: what a pipeline costs, and reading signatures
        order = ["verified", "contaminated", "signatures"]
        behind = nothing
        for stage in reversed(order):
            for later in order[order.index(stage) :]:
                shutil.rmtree(getattr(stages, later)["gsm8k"].folder)
            whole = run()
            seconds[stage], behind = whole - behind, whole
        seconds["duplicates"] = nothing
    return {stage: examples / max(s, 1e-9) for stage, s in seconds.items()}


class Memory:
    """The most memory of this process and all below it, sampled while it is open."""

    def __enter__(self) -> "Memory":
        self.peak_bytes, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self.peak_bytes = max(self.peak_bytes, sum(map(_proportional, _family(os.getpid()))))


def _family(pid: int) -> list[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def _proportional(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/smaps_rollup").read_text().split("Pss:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--examples", type=int, default=776_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--stages_of", type=int, default=20_000)
    args = parser.parse_args()

    if args.stages_of:
        with tempfile.TemporaryDirectory() as temporary:
            folder = data_folder(Path(temporary), args.data_dir, args.stages_of // 2)
            found = {workers: by_stage(folder, args.stages_of, workers) for workers in (1, 2)}
        print(f"examples/s of each stage, on {args.stages_of} examples, at 1 and 2 workers")
        for stage in found[1]:
            print(f"  {stage:<12} {found[1][stage]:>8.0f} {found[2][stage]:>8.0f}", flush=True)
    if args.examples:
        with tempfile.TemporaryDirectory() as temporary, Memory() as memory:
            folder = data_folder(Path(temporary) / "data", args.data_dir, args.examples // 2)
            begun = time.perf_counter()
            manifest = prepare.prepare(settings(), Path(temporary) / "out", folder, workers=args.workers)
            seconds = time.perf_counter() - begun
            files = prepared.examples(Path(temporary) / "out", settings())
            print(f"{args.examples} examples, {args.workers} workers: {seconds:.0f} s, {args.examples / seconds:.0f}/s")
            print(f"most memory: {memory.peak_bytes / 1e9:.2f} GB; {len(files)} examples can be read")
        for mode, counts in manifest["sources"]["gsm8k"]["modes"].items():
            print(f"  {mode}: {json.dumps(counts)}")


if __name__ == "__main__":
    main()
