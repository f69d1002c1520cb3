"""Memory and rate of importing a model of DeepSeekMath 7B's shapes, in bf16, against copying its files.

    python benchmarks/import_7b.py [--layers 30] [--rounds 1] [--hosts 4] [--folder FOLDER]

A random model (13.8 GB, in three files) is written into FOLDER, by default a temporary one, and removed at the end.
These take turns, each in a process of its own:

copy    the files, with shutil.copyfile
host    what one of `--hosts` hosts of a pod does at the start of a run: its part of all parameters, in f32
shard   `dsmath convert --weights`: into sharded weights, which take 13 GB on disk

Rates are bytes of the files (of what the host reads) a second; peaks are VmHWM, the program itself included.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import ml_dtypes
import numpy as np

from dsmath.config import Arch, Mesh
from dsmath.model import decoder, folder, sharded, stacking
from dsmath.sharding import TRAINING, make_mesh, shardings

BF16 = np.dtype(ml_dtypes.bfloat16)


def arch(layers: int) -> Arch:
    """DeepSeekMath 7B, with so many layers."""
    return Arch(102_400, 4096, 11_008, layers, 32, 32, 128, 1e4, 1e-6, tie_embeddings=False, max_positions=4096)


class Random:
    """A parameter that is made when it is looked at, a layer at a time, of numbers with the entropy of weights."""

    def __init__(self, shape: tuple[int, ...], pool: np.ndarray):
        self._shape, self._pool = shape, pool

    def __getitem__(self, i: int) -> np.ndarray:
        return np.resize(np.roll(self._pool, 7919 * i), self._shape[1:])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.resize(self._pool, self._shape)


def write(path: Path, layers: int) -> None:
    """A random model as an HF folder."""
    pool = (0.02 * np.random.default_rng(0).standard_normal(1 << 25, np.float32)).astype(BF16)
    params = jax.tree.map(lambda x: Random(x.shape, pool), decoder.abstract(arch(layers)))
    folder.save(path, params, arch(layers), bos=100_000, eos=100_001, dtype="bfloat16")


def copy(source: Path, out: Path, hosts: int) -> int:
    """Copy the files -> bytes."""
    out.mkdir()
    for path in source.iterdir():
        shutil.copyfile(path, out / path.name)
    return size_of(source)


def shard(source: Path, out: Path, hosts: int) -> int:
    """Write sharded weights -> bytes of the files."""
    sharded.write(out, folder.open_weights(source))
    return size_of(source)


def host(source: Path, out: Path, hosts: int) -> int:
    """Read one host's part of all parameters into memory, as `stacking.place` does -> bytes that were read."""
    weights = folder.open_weights(source)
    mesh = make_mesh(Mesh(1, hosts, 1), jax.devices()[:hosts])  # a virtual device stands for a host, and is not used
    first = mesh.devices.flat[0]
    over = shardings(decoder.axes(weights.arch), mesh, TRAINING)
    shapes, tree = jax.tree.flatten_with_path(decoder.abstract(weights.arch))
    held = []
    for (path, x), sharding in sorted(
        zip(shapes, tree.flatten_up_to(over), strict=True), key=lambda item: -item[0][1].size
    ):
        index = sharding.addressable_devices_indices_map(x.shape)[first]
        slices = tuple(slice(*s.indices(size)[:2]) for s, size in zip(index, x.shape, strict=True))
        held.append(stacking.shard(weights, tuple(k.key for k in path), slices, np.float32))
    return sum(part.size for part in held) * BF16.itemsize


LEGS: dict[str, Callable[[Path, Path, int], int]] = {"copy": copy, "host": host, "shard": shard}


def size_of(path: Path) -> int:
    """Bytes of a folder."""
    return sum(file.stat().st_size for file in path.rglob("*"))


def measure(leg: str, source: Path, out: Path, hosts: int) -> dict[str, float]:
    """One leg in this process."""
    begun = time.perf_counter()
    nbytes = LEGS[leg](source, out, hosts)
    seconds = time.perf_counter() - begun
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    return {"seconds": seconds, "mb_a_second": nbytes / seconds / 1e6, "peak_gb": peak / 1e9}


def alone(*args: object, hosts: int) -> dict[str, float]:
    """One leg in a process of its own."""
    command = [sys.executable, __file__, "--hosts", str(hosts), "--leg", *map(str, args)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where to write; needs 29 GB; removed at the end")
    parser.add_argument("--leg", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.leg:
        leg, source, out = args.leg
        print(json.dumps(measure(leg, Path(source), Path(out), args.hosts)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="import-7b-") as temporary:
        source, out = Path(temporary) / "hf", Path(temporary) / "out"
        write(source, args.layers)
        print(f"{args.layers} layers, {size_of(source) / 1e9:.2f} GB in bf16", flush=True)
        turns: dict[str, list[dict[str, float]]] = {leg: [] for leg in LEGS}
        for _ in range(args.rounds):
            for leg, done in turns.items():
                done.append(alone(leg, source, out, hosts=args.hosts))
                shutil.rmtree(out, ignore_errors=True)
                print(f"  {leg}: {done[-1]}", flush=True)
    print(f"{'':6} {'seconds':>8} {'MB/s':>8} {'of copy':>8} {'peak GB':>8}")
    for leg, done in turns.items():
        seconds, rate, peak = (statistics.median(turn[key] for turn in done) for key in done[0])
        ratio = statistics.median(
            turn["mb_a_second"] / copied["mb_a_second"] for turn, copied in zip(done, turns["copy"], strict=True)
        )
        print(f"{leg:6} {seconds:8.1f} {rate:8.0f} {ratio:8.2f} {peak:8.2f}")
    print(json.dumps({"layers": args.layers, "hosts": args.hosts, "turns": turns}))


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8)
    main()
