"""Trained tokens per second of fine-tuning against `transformers`, and `google-tunix` where it is importable.

    python benchmarks/train_vs_transformers.py --data_dir DATA --model smollm2
    python benchmarks/train_vs_transformers.py --data_dir DATA --model 7b_shaped
    python benchmarks/train_vs_transformers.py --data_dir DATA --model smollm2 --sides tunix --rows 2

Everybody computes in f32 with AdamW and clipping by the global norm, on GSM8K's training set as chain of thought.

    smollm2    SmolLM2-135M-Instruct, its tokenizer and chat template.
    7b_shaped  Two random layers with the 7B's proportions at half its width: heads of 128, as many for keys as for
               queries, a feed-forward layer of 2.69 times the width. At full width (4,096) two layers are 405 M
               parameters: parameters, gradients and moments of two sides would take 13 GB, of three 19, before any
               activation. Its tokenizer is trained on the data, with 4,096 entries, so that the head (not tied) has the
               part of the parameters that it has in the 7B: a twelfth of the layers', there a fourteenth.

Sides, `--sides` (by default all but tunix; with it, the sides of smollm2 take 16 GB, or 10 at --sides tunix --rows 2):

    dsmath  always there, on packed rows; its step keeps every product with a weight (remat "dots")
    packed  `transformers` as its Trainer steps (sdpa attention, fused AdamW) on the very same rows, with a
            block-diagonal mask and positions
    padded  the same model on random examples padded to the longest, prompts' labels masked, of about as many slots
    tunix   `PeftTrainer`'s step with full fine-tuning of its own Llama, on the same rows; its loss is its default one,
            with targets that are shifted already. It packs nothing itself (0.1.7), and its Llama never hands
            `rope_theta` on (it is 1e6 always): at another theta its loss is a little different, its cost the same.

All take turns in one process after a warm-up turn each; speeds are medians, ratios medians of the rounds' ratios. The
losses are those of the warm-up: on the same rows and from the same weights they agree. Memory is what a side added to
the process up to its peak (Linux); padded has its model in common with packed, and adds activations alone.
"""

import argparse
import ctypes
import dataclasses
import functools
import gc
import importlib.util
import itertools
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import gsm8k_examples
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import transformers

from dsmath import config, runtime
from dsmath.data.feed import pipeline
from dsmath.data.feed.tokenise import Tokenise
from dsmath.model import decoder, folder, remat, smollm2, weights
from dsmath.records import Example
from dsmath.sharding import TRAINING, make_mesh, place
from dsmath.text import template, tokenizer
from dsmath.train import optimizer as optimizers
from dsmath.train import step as steps

IGNORED = -100  # label that the loss of `transformers` leaves out
PEERS = ("packed", "padded", *(("tunix",) if importlib.util.find_spec("tunix") else ()))
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
HALF_7B = config.Arch(
    vocab_size=4096,
    hidden_size=2048,
    intermediate_size=5504,
    num_layers=2,
    num_heads=16,
    num_kv_heads=16,
    head_dim=128,
    rope_theta=10000.0,
    norm_eps=1e-6,
    tie_embeddings=False,
    max_positions=4096,
)


class Turn(NamedTuple):
    loss: float
    speed: float  # trained tokens per second


class Subject(NamedTuple):
    """What is trained: parameters as numpy arrays, of which every side makes its own."""

    arch: config.Arch
    params: decoder.Params
    tokenizer: tokenizer.Tokenizer
    template: template.Template


class Ours:
    """One step of dsmath per call, on a packed batch."""

    def __init__(self, subject: Subject, shape: tuple[int, int]):
        arch, mesh = subject.arch, make_mesh(config.Mesh(1, 1, 1))
        optimizer = optimizers.make(TRAIN, arch)
        placed = place(subject.params, decoder.axes(arch), mesh, TRAINING)
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
        return Turn(float(metrics.loss), float(metrics.trained_tokens) / (time.perf_counter() - begun))


class Transformers:
    """One step of `transformers` per call, on the arguments of its forward pass."""

    def __init__(self, subject: Subject):
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "weights"
            folder.save(path, subject.params, subject.arch, bos=None, eos=subject.tokenizer.eos, dtype="float32")
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
        return Turn(loss.item(), trained / (time.perf_counter() - begun))


class Tunix:
    """One step of tunix's trainer per call, on a packed batch."""

    def __init__(self, subject: Subject):
        from flax import nnx
        from tunix.models.llama3 import model as llama
        from tunix.sft import peft_trainer

        arch = subject.arch
        model = llama.Llama3(
            llama.ModelConfig(
                num_layers=arch.num_layers,
                vocab_size=arch.vocab_size,
                embed_dim=arch.hidden_size,
                hidden_dim=arch.intermediate_size,
                num_heads=arch.num_heads,
                head_dim=arch.head_dim,
                num_kv_heads=arch.num_kv_heads,
                rope_theta=int(arch.rope_theta),
                norm_eps=arch.norm_eps,
                weight_tying=arch.tie_embeddings,
            ),
            rngs=nnx.Rngs(0),
        )
        self._fill(model, subject.params)
        adamw = optax.adamw(TRAIN.learning_rate, weight_decay=TRAIN.weight_decay)
        optimizer = optax.chain(optax.clip_by_global_norm(TRAIN.clip_norm), adamw)
        trainer = peft_trainer.PeftTrainer(model, optimizer, peft_trainer.TrainingConfig(eval_every_n_steps=1))
        self._step, _ = trainer.with_loss_fn(tunix_loss).jit_train_and_eval_step(cache_nnx_graph=True)

    @staticmethod
    def _fill(model, params: decoder.Params) -> None:
        """Our parameters in tunix's layout, input axes first."""
        model.embedder.input_embedding[...] = jnp.asarray(params["embed"])
        model.final_norm.w[...] = jnp.asarray(params["norm"])
        if "head" in params:
            model.lm_head.w[...] = jnp.asarray(params["head"].T)
        for i, layer in enumerate(model.layers):
            ours = {name: stack[i] for name, stack in params["layers"].items()}
            layer.input_layernorm.w[...] = jnp.asarray(ours["attn_norm"])
            layer.post_attention_layernorm.w[...] = jnp.asarray(ours["mlp_norm"])
            for name in ("q", "k", "v"):
                getattr(layer.attn, f"{name}_proj").w[...] = jnp.asarray(ours[name].transpose(2, 0, 1))
            layer.attn.o_proj.w[...] = jnp.asarray(ours["o"].transpose(1, 2, 0))
            for name in ("gate", "up", "down"):
                getattr(layer.mlp, f"{name}_proj").kernel[...] = jnp.asarray(ours[name].T)

    def __call__(self, batch: pipeline.Batch) -> Turn:
        inputs = {name: batch[name] for name in ("tokens", "positions", "targets", "trained")}
        inputs["attention_mask"] = seen(batch["segments"])
        begun = time.perf_counter()
        loss, _, _ = self._step(jax.device_put(inputs))
        return Turn(float(loss), float(batch["trained"].sum()) / (time.perf_counter() - begun))


def tunix_loss(model, tokens, positions, attention_mask, targets, trained):
    """The default of tunix's PeftTrainer, but for the targets, which it makes of the tokens by shifting them."""
    logits, _ = model(tokens, positions, None, attention_mask)
    one_hot = jax.nn.one_hot(targets, logits.shape[-1]) * trained[..., None]
    return -jnp.sum(jax.nn.log_softmax(logits) * one_hot) / (jnp.sum(trained) + 1e-8)


def seen(segments: np.ndarray) -> np.ndarray:
    """What a token of a packed row sees [B, T, T]: its own segment's past."""
    return (segments[:, :, None] == segments[:, None, :]) & np.tri(segments.shape[1], dtype=bool)


def packed_inputs(batch: pipeline.Batch) -> tuple[dict[str, torch.Tensor], int]:
    """Our rows for `transformers`: labels are shifted already."""
    visible = torch.from_numpy(seen(batch["segments"]))
    labels = torch.from_numpy(np.where(batch["trained"], batch["targets"], IGNORED)).long()
    inputs = {
        "input_ids": torch.from_numpy(batch["tokens"]).long(),
        "position_ids": torch.from_numpy(batch["positions"]).long(),
        "attention_mask": torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)[:, None],
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


def load(model: str, examples: list[Example]) -> Subject:
    """The model of this name. The only place that opens weights."""
    if model == "smollm2":
        mesh = make_mesh(config.Mesh(1, 1, 1))
        arch, params = weights.open_start(weights.SMOLLM2, None, seed=0, mesh=mesh, rules=TRAINING)
        tok = tokenizer.from_gguf(smollm2.fetch())
        return Subject(arch, jax.device_get(params), tok, template.find("chatml"))
    texts = [text for e in examples for text in (e.question, e.solution[0].text)]
    tok = tokenizer.train(texts, vocab_size=HALF_7B.vocab_size)
    return Subject(HALF_7B, jax.device_get(decoder.init(HALF_7B, jax.random.key(0))), tok, template.find("reference"))


def resident(field: str) -> float:
    """GB of this process's memory: `field` is VmRSS, or VmHWM for its peak."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"^{field}:\s*(\d+) kB", status, re.MULTILINE)[1]) / 1e6


def measure(
    makers: dict[str, Callable[[], Callable[[], Turn]]], rounds: int
) -> tuple[dict[str, list[Turn]], dict[str, float]]:
    """Every side's turns, the first of which warms it up; and the GB that it added to the process at its peak."""
    turns, memory, results = {}, {}, {}
    for name, make in makers.items():
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what another side freed is not this one's to use
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        turns[name] = make()
        results[name] = [turns[name]()]
        memory[name] = round(resident("VmHWM") - before, 2)
    for _, (name, turn) in itertools.product(range(rounds), turns.items()):
        results[name].append(turn())
    return results, memory


def main() -> None:
    runtime.choose_platform()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--model", choices=("smollm2", "7b_shaped"), default="smollm2")
    parser.add_argument("--sides", nargs="+", choices=PEERS, default=("packed", "padded"), help="beside dsmath")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--row_length", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))

    examples = gsm8k_examples.chains(args.data_dir)
    subject = load(args.model, examples)
    subject = subject._replace(arch=dataclasses.replace(subject.arch, max_positions=args.row_length))
    tokenise = Tokenise(subject.tokenizer, subject.template, loss_on_tool_output=False)
    shape = (args.rows, args.row_length)
    data = config.Data(("gsm8k",), ("cot",), embedded_problems=0, row_length=args.row_length, packing_bins=64)
    packed = pipeline.batches(
        (pipeline.Part("gsm8k", examples, weight=None, epochs=1),), tokenise, data, rows=args.rows, seed=0
    )
    batches = list(itertools.islice(packed, args.rounds + 1))
    tokenised = [row for e in examples[:1000] if len(row := tokenise([e]).columns.T) <= args.row_length]
    padded = list(itertools.islice(padded_batches(tokenised, args.rows * args.row_length), args.rounds + 1))

    def on(step: Callable[..., Turn], inputs: list) -> Callable[[], Turn]:
        one = iter(inputs)
        return lambda: step(*next(one))

    trainer = functools.cache(lambda: Transformers(subject))
    makers = {
        "dsmath": lambda: on(Ours(subject, shape), [(batch,) for batch in batches]),
        "packed": lambda: on(trainer(), list(map(packed_inputs, batches))),
        "padded": lambda: on(trainer(), padded),
        "tunix": lambda: on(Tunix(subject), [(batch,) for batch in batches]),
    }
    results, memory = measure({name: makers[name] for name in makers if name in {"dsmath", *args.sides}}, args.rounds)
    speeds = {name: [turn.speed for turn in turns[1:]] for name, turns in results.items()}
    rounds = {name: [a / b for a, b in zip(speeds["dsmath"], v, strict=True)] for name, v in speeds.items()}
    ratios = {name: statistics.median(of_rounds) for name, of_rounds in rounds.items() if name != "dsmath"}
    losses = {name: turns[0].loss for name, turns in results.items()}

    parameters = sum(x.size for x in jax.tree.leaves(subject.params))
    print(
        f"{args.model}: {parameters / 1e6:.0f} M parameters; {args.rows * args.row_length} packed slots a step, "
        f"{np.mean([batch['segments'] > 0 for batch in batches]):.0%} filled; padded: about as many, "
        f"{np.mean([inputs['attention_mask'].float().mean() for inputs, _ in padded]):.0%} filled"
    )
    print(f"{'':8} {'trained tokens/s':>18} {'dsmath is':>10} {'(rounds)':>16} {'loss':>8} {'GB':>6}")
    for name, of_side in speeds.items():
        ratio = f"{ratios[name]:.2f} x" if name in ratios else ""
        spread = f"({min(rounds[name]):.2f} to {max(rounds[name]):.2f})" if name in ratios else ""
        speed = statistics.median(of_side)
        print(f"{name:8} {speed:18.1f} {ratio:>10} {spread:>16} {losses[name]:8.4f} {memory[name]:6.2f}")
    report = {"model": args.model, "shape": shape, "ratios": ratios, "rounds": rounds, "speeds": speeds}
    print(json.dumps(report | {"losses": losses, "memory_gb": memory}))


if __name__ == "__main__":
    main()
