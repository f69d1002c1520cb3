"""Trained tokens per second of fine-tuning against `transformers`: SmolLM2-135M-Instruct, f32, AdamW.

    python benchmarks/train_vs_transformers.py --data_dir DATA [--rows 4] [--row_length 512] [--rounds 3]

Examples are GSM8K's training set in the chat template. The peer steps as its Trainer does (sdpa attention, clipping,
fused AdamW) on two kinds of batches: `padded`, random examples padded to the longest with the prompt's labels masked,
of about as many slots as ours; and `packed`, the very rows we train on, with a block-diagonal mask and positions. All
take turns in one process after a warm-up of each; figures are medians, the ratios medians of the turns' ratios.
"""

import argparse
import dataclasses
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import torch
import transformers

from dsmath import config, runtime
from dsmath.data import gsm8k, pipeline
from dsmath.model import decoder, folder, gguf, remat, smollm2
from dsmath.records import Example, Piece, Source
from dsmath.sharding import TRAINING, make_mesh, place
from dsmath.text import template, tokenizer
from dsmath.train import optimizer as optimizers
from dsmath.train import step as steps

IGNORED = -100  # label that the loss of `transformers` leaves out
TRAIN = config.Train(
    steps=0,
    batch_rows=0,
    microbatches=1,
    learning_rate=1e-5,
    warmup_steps=0,
    beta1=0.9,
    beta2=0.999,
    weight_decay=0.01,
    clip_norm=1.0,
    remat="dots",
    loss_on_tool_output=False,
    checkpoint_every=1,
    keep_checkpoints=1,
)

Turn = tuple[float, float]  # loss, trained tokens per second


class Ours:
    """One step of dsmath per call, on a packed batch."""

    def __init__(self, arch: config.Arch, params: decoder.Params, shape: tuple[int, int]):
        mesh = make_mesh(config.Mesh(1, 1, 1))
        optimizer = optimizers.make(TRAIN, arch)
        placed = place(params, decoder.axes(arch), mesh, TRAINING)
        self._sharding = steps.batch_sharding(mesh)
        abstract = steps.abstract_state(arch, optimizer, mesh)
        self._state = jax.device_put(steps.new_state(placed, optimizer), jax.tree.map(lambda x: x.sharding, abstract))
        self._step = steps.compile_step(
            mesh, arch=arch, optimizer=optimizer, shape=shape, microbatches=1, keep=remat.find(TRAIN.remat)
        )

    def __call__(self, batch: pipeline.Batch) -> Turn:
        begun = time.perf_counter()
        self._state, metrics = self._step(self._state, jax.device_put(batch, self._sharding))
        metrics = jax.device_get(metrics)
        return float(metrics.loss), float(metrics.trained_tokens) / (time.perf_counter() - begun)


class Peer:
    """One step of `transformers` per call, on the arguments of its forward pass."""

    def __init__(self, arch: config.Arch, params: decoder.Params, eos: int):
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "weights"
            folder.save(path, params, arch, bos=None, eos=eos, dtype="float32")
            self._model = transformers.LlamaForCausalLM.from_pretrained(path, dtype=torch.float32)
        self._model.config.use_cache = False
        self._model.train()
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(), lr=TRAIN.learning_rate, weight_decay=TRAIN.weight_decay, fused=True
        )

    def __call__(self, inputs: dict[str, torch.Tensor], trained: int) -> Turn:
        begun = time.perf_counter()
        loss = self._model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), TRAIN.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss.item(), trained / (time.perf_counter() - begun)


def packed_inputs(batch: pipeline.Batch) -> tuple[dict[str, torch.Tensor], int]:
    """Our rows for the peer: labels are shifted already, the mask lets a token see its own segment's past."""
    segments = torch.from_numpy(batch["segments"])
    length = segments.shape[1]
    seen = (segments[:, :, None] == segments[:, None, :]) & torch.ones(length, length).tril().bool()
    labels = torch.from_numpy(np.where(batch["trained"], batch["targets"], IGNORED)).long()
    inputs = {
        "input_ids": torch.from_numpy(batch["tokens"]).long(),
        "position_ids": torch.from_numpy(batch["positions"]).long(),
        "attention_mask": torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None],
        "labels": labels,
        "shift_labels": labels,
    }
    return inputs, int(batch["trained"].sum())


def padded_inputs(rows: list[np.ndarray]) -> tuple[dict[str, torch.Tensor], int]:
    """Examples padded to the longest, as the Trainer's collator does."""
    width = max(map(len, rows)) + 1
    ids = np.zeros((len(rows), width), np.int64)
    labels = np.full_like(ids, IGNORED)
    for i, row in enumerate(rows):
        tokens, targets, trained = row.T
        ids[i, : len(row) + 1] = [*tokens, targets[-1]]
        labels[i, 1 : len(row) + 1] = np.where(trained, targets, IGNORED)
    mask = np.arange(width) <= np.array([[len(row)] for row in rows])
    inputs = {"input_ids": ids, "attention_mask": mask.astype(np.int64), "labels": labels}
    return {k: torch.from_numpy(v) for k, v in inputs.items()}, int((labels != IGNORED).sum())


def padded_batches(rows: list[np.ndarray], slots: int) -> Iterator[tuple[dict[str, torch.Tensor], int]]:
    """Random batches of a fixed number of examples, whose padded size is `slots` on average."""
    rng = np.random.default_rng(0)

    def draw(size: int) -> list[np.ndarray]:
        return [rows[i] for i in rng.choice(len(rows), size, replace=False)]

    def mean_slots(size: int) -> float:
        return statistics.mean(size * (max(map(len, draw(size))) + 1) for _ in range(200))

    size = min(range(1, slots), key=lambda n: abs(mean_slots(n) - slots) if n * len(rows[0]) < 3 * slots else slots)
    while True:
        yield padded_inputs(draw(size))


def example(row: gsm8k.Row) -> Example:
    """A row as chain of thought."""
    solution = (Piece(Source.MODEL, gsm8k.cot(row.solution, row.gold)),)
    return Example(row.id, "gsm8k", "en", "cot", row.question, solution, row.gold)


def measure(turns: dict[str, Callable[[], Turn]], rounds: int) -> dict[str, list[Turn]]:
    """Every side's turns, after one that warms it up."""
    results = {name: [] for name in turns}
    for i, (name, turn) in itertools.product(range(rounds + 1), turns.items()):
        result = turn()
        if i:
            results[name].append(result)
    return results


def main() -> None:
    runtime.choose_platform()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--row_length", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(os.cpu_count())

    file = smollm2.fetch()
    arch, params = gguf.load(file)
    arch = dataclasses.replace(arch, max_positions=args.row_length)
    tok = tokenizer.from_gguf(file)
    examples = [example(row) for row in gsm8k.read(args.data_dir / "gsm8k" / "train.jsonl")]
    tokenise = pipeline.Tokenise(tok, template.find("chatml"), row_length=args.row_length, loss_on_tool_output=False)
    shape = (args.rows, args.row_length)
    packed = pipeline.batches(examples, tokenise, rows=args.rows, row_length=args.row_length, packing_bins=64, seed=0)
    tokenised = [row for row in map(tokenise, examples[:1000]) if row is not None]
    padded = padded_batches(tokenised, args.rows * args.row_length)

    first, (inputs, _) = next(packed), next(padded)
    print(
        f"slots a step: {args.rows * args.row_length} packed ({(first['segments'] > 0).mean():.0%} filled), "
        f"padded e.g. {inputs['input_ids'].numel()} ({inputs['attention_mask'].float().mean():.0%} filled)"
    )
    ours, peer = Ours(arch, params, shape), Peer(arch, params, tok.eos)
    batches = itertools.tee(itertools.chain([first], packed))
    results = measure(
        {
            "dsmath": lambda: ours(next(batches[0])),
            "packed": lambda: peer(*packed_inputs(next(batches[1]))),
            "padded": lambda: peer(*next(padded)),
        },
        args.rounds,
    )
    speeds = {name: [speed for _, speed in turns] for name, turns in results.items()}
    ratios = {name: statistics.median(map(np.divide, speeds["dsmath"], speeds[name])) for name in ("packed", "padded")}
    print(f"{'':8} {'trained tokens/s':>18} {'dsmath is':>10} {'loss':>8}")
    for name, turns in results.items():
        ratio = f"{ratios[name]:.2f} x" if name in ratios else ""
        print(f"{name:8} {statistics.median(speeds[name]):18.1f} {ratio:>10} {turns[0][0]:8.4f}")
    print(json.dumps({"shape": shape, "rounds": args.rounds, "ratios": ratios, "speeds": speeds}))


if __name__ == "__main__":
    main()
