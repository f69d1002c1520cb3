"""How the time of a training step grows with rows, with their length and with layers: JSON and a plot.

    python benchmarks/train_scaling.py [--rounds 7] [--plot docs/train_scaling.svg] [--json FILE]

Each is swept alone from one base, a random decoder small enough for two cores, in which every token is trained. A round
takes a step at every point, so that a busy moment falls on all of them; times are medians over the rounds. The line
beside them is what arithmetic alone would take: the base's time, times the FLOPs of a point over those of the base
(`dsmath.train.metrics.flops_per_token`).
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

from dsmath import config
from dsmath.model import decoder, remat
from dsmath.sharding import make_mesh
from dsmath.train import metrics
from dsmath.train import optimizer as optimizers
from dsmath.train import step as steps

ARCH = config.Arch(
    vocab_size=4096,
    hidden_size=256,
    intermediate_size=688,
    num_layers=4,
    num_heads=4,
    num_kv_heads=4,
    head_dim=64,
    rope_theta=10000.0,
    norm_eps=1e-6,
    tie_embeddings=False,
    max_positions=2048,
)
TRAIN = config.Train(
    steps=0,
    batch_rows=0,
    microbatches=1,
    learning_rate=1e-5,
    warmup_steps=0,
    beta1=0.9,
    beta2=0.95,
    weight_decay=0.1,
    clip_norm=1.0,
    remat="dots",
    loss_on_tool_output=False,
    checkpoint_every=1,
    keep_checkpoints=1,
)
SEGMENT = 128  # tokens of an example; no time depends on it


@dataclasses.dataclass(frozen=True)
class Point:
    """What is swept."""

    rows: int = 4
    row_length: int = 256
    layers: int = ARCH.num_layers

    @property
    def arch(self) -> config.Arch:
        return dataclasses.replace(ARCH, num_layers=self.layers)

    @property
    def flops(self) -> float:
        return metrics.flops_per_token(self.arch, self.row_length) * self.rows * self.row_length


BASE = Point()
SWEEPS = {
    "rows": [dataclasses.replace(BASE, rows=n) for n in (1, 2, 4, 8, 16)],
    "row_length": [dataclasses.replace(BASE, row_length=n) for n in (128, 256, 512, 1024, 2048)],
    "layers": [dataclasses.replace(BASE, layers=n) for n in (1, 2, 4, 8, 16)],
}
UNITS = {"rows": "rows a step", "row_length": "row length (tokens)", "layers": "layers"}


def stepper(point: Point) -> Callable[[], float]:
    """A function that takes a step, and gives its seconds."""
    mesh = make_mesh(config.Mesh(1, 1, 1))
    optimizer = optimizers.make(TRAIN, point.arch)
    shape = (point.rows, point.row_length)
    step = steps.compile_step(
        mesh, arch=point.arch, optimizer=optimizer, shape=shape, microbatches=1, keep=remat.find(TRAIN.remat)
    )
    abstract = steps.abstract_state(point.arch, optimizer, mesh)
    state = steps.new_state(decoder.init(point.arch, jax.random.key(0)), optimizer)
    state = jax.device_put(state, jax.tree.map(lambda x: x.sharding, abstract))
    tokens, targets = np.random.default_rng(0).integers(0, ARCH.vocab_size, (2, *shape), np.int32)
    place = np.broadcast_to(np.arange(point.row_length, dtype=np.int32), shape)
    batch = {
        "tokens": tokens,
        "targets": targets,
        "weights": np.ones(shape, np.float32),
        "trained": np.ones(shape, bool),
        "segments": 1 + place // SEGMENT,
        "positions": place % SEGMENT,
    }
    batch = jax.device_put(batch, steps.batch_sharding(mesh))

    def take() -> float:
        nonlocal state
        begun = time.perf_counter()
        state, done = step(state, batch)
        jax.block_until_ready((state, done))
        return time.perf_counter() - begun

    return take


def measure(points: list[Point], rounds: int) -> dict[Point, list[float]]:
    """Seconds of each point's steps, after one that warms it up."""
    steppers = {point: stepper(point) for point in points}
    for take in steppers.values():
        take()
    turns = [{point: take() for point, take in steppers.items()} for _ in range(rounds)]
    return {point: [turn[point] for turn in turns] for point in points}


def draw(seconds: dict[Point, list[float]], path: Path) -> None:
    """A panel for each sweep: medians with quartiles, and arithmetic's line through the base."""
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "dsmath", "font.size": 10})
    figure, panels = plt.subplots(1, len(SWEEPS), figsize=(10, 3.6), sharey=True, layout="constrained")
    for panel, (name, points) in zip(panels, SWEEPS.items(), strict=True):
        at = [getattr(point, name) for point in points]
        low, median, high = np.percentile([seconds[point] for point in points], [25, 50, 75], axis=1)
        theory = [statistics.median(seconds[BASE]) * point.flops / BASE.flops for point in points]
        panel.plot(at, theory, "--", color="0.45", label="by FLOPs, from the base")
        panel.errorbar(at, median, yerr=[median - low, high - median], fmt="o-", capsize=3, label="measured")
        panel.plot(getattr(BASE, name), statistics.median(seconds[BASE]), "o", ms=10, mfc="none", mec="k", label="base")
        panel.set(xscale="log", yscale="log", xlabel=UNITS[name])
        panel.set_xticks(at, labels=map(str, at), minor=False)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds a step (median, quartiles)")
    ticks = [
        t
        for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
        if bounds(seconds)[0] <= t <= bounds(seconds)[1]
    ]
    panels[0].set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    panels[0].legend(frameon=False)
    figure.suptitle(
        f"A training step on CPU, f32; base: {BASE.rows} rows of {BASE.row_length} tokens, {BASE.layers} layers "
        f"of width {ARCH.hidden_size}, {ARCH.vocab_size:,} tokens of vocabulary",
        fontsize=10,
    )
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def bounds(seconds: dict[Point, list[float]]) -> tuple[float, float]:
    """The axis from half of the least time to twice the most."""
    return min(map(min, seconds.values())) / 2, max(map(max, seconds.values())) * 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--plot", type=Path, default=Path("docs/train_scaling.svg"))
    parser.add_argument("--json", type=Path, help="a file for what the last line says, too")
    args = parser.parse_args()

    seconds = measure(list(dict.fromkeys(point for points in SWEEPS.values() for point in points)), args.rounds)
    draw(seconds, args.plot)
    base = statistics.median(seconds[BASE])
    report = {}
    for name, points in SWEEPS.items():
        print(f"{name:>10} {'seconds':>8} {'x base':>7} {'FLOPs x base':>13} {'GFLOP/s':>8}")
        report[name] = []
        for point in points:
            median = statistics.median(seconds[point])
            row = {
                name: getattr(point, name),
                "seconds": median,
                "of_base": statistics.median(np.divide(seconds[point], seconds[BASE])),
                "flops_of_base": point.flops / BASE.flops,
                "flops_per_s": point.flops / median,
            }
            report[name].append(row)
            print(
                f"{row[name]:10} {median:8.3f} {row['of_base']:7.2f} {row['flops_of_base']:13.2f} "
                f"{row['flops_per_s'] / 1e9:8.0f}"
            )
    line = json.dumps({"base": dataclasses.asdict(BASE), "base_seconds": base, "rounds": args.rounds, "sweeps": report})
    if args.json:
        args.json.write_text(line + "\n")
    print(line)


if __name__ == "__main__":
    main()
