"""Output tokens per second of the engine against `transformers` generate: SmolLM2-135M-Instruct, f32, batch 16, greedy.

    python benchmarks/decode_vs_transformers.py --data_dir D [--problems 32] [--fixed 32] [--max_new 160] [--rounds 3]

Prompts are GSM8K test questions in the chat template; the peer gets them left-padded in batches of 16. Tokens count up
to each sequence's end. `fixed`: no end token, every sequence has the same length. `natural`: sequences end at their end
token; the engine refills a slot, the peer waits for its batch. Both take turns over all problems in one process, after
a warm-up of each; figures are medians, the ratio the median of the rounds' ratios.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import decode_setting as setting
import torch
import transformers
from decode_setting import Ids

from dsmath import runtime
from dsmath.engine.engine import Engine
from dsmath.model import folder
from dsmath.records import Piece
from dsmath.text.generator import Request

BATCH = setting.SLOTS


def generate(model: transformers.LlamaForCausalLM, prompts: list[Ids], max_new: int, ends: list[int]) -> list[Ids]:
    """The peer: one batch, to the end of its longest sequence."""
    width = max(map(len, prompts))
    tokens = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    out = model.generate(
        tokens, attention_mask=mask, max_new_tokens=max_new, do_sample=False, eos_token_id=ends or None, pad_token_id=0
    )
    rows = out[:, width:].tolist()
    return [_to_end(tuple(row), ends) for row in rows]


def _to_end(ids: Ids, ends: list[int]) -> Ids:
    stops = [i + 1 for i, id in enumerate(ids) if id in ends]
    return ids[: min(stops, default=len(ids))]


def run_ours(engine: Engine, prompts: list[Piece], max_new: int) -> list[Ids]:
    """The engine on all prompts; nothing is left in flight when it returns."""
    requests = [Request(str(i), (prompt,), max_new, (), setting.GREEDY) for i, prompt in enumerate(prompts)]
    done = setting.run(engine, requests)
    return [done[request.id] for request in requests]


def run_theirs(model: transformers.LlamaForCausalLM, prompts: list[Piece], max_new: int, ends: list[int]) -> list[Ids]:
    """The peer on all prompts, batch by batch."""
    ids = [prompt.ids or () for prompt in prompts]
    batches = [ids[i : i + BATCH] for i in range(0, len(ids), BATCH)]
    return [ids for batch in batches for ids in generate(model, batch, max_new, ends)]


def timed(run: Callable[..., list[Ids]], *args: object) -> tuple[list[Ids], float]:
    """What it generated, and output tokens per second, prefill included."""
    begun = time.perf_counter()
    out = run(*args)
    return out, sum(map(len, out)) / (time.perf_counter() - begun)


def load_peer(model: setting.Model) -> transformers.LlamaForCausalLM:
    """The same weights in `transformers`."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "weights"
        folder.save(path, model.stacked, model.arch, bos=None, eos=model.tokenizer.eos, dtype="float32")
        return transformers.LlamaForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def main() -> None:
    runtime.choose_platform()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fixed", type=int, default=32, help="tokens per sequence without end token")
    parser.add_argument("--max_new", type=int, default=160, help="tokens per sequence at most, with end token")
    args = parser.parse_args()

    model = setting.smollm2_model()
    prompts, peer = setting.prompts(model, args.data_dir, args.problems), load_peer(model)
    for name, max_new, ends in (("fixed", args.fixed, []), ("natural", args.max_new, [model.tokenizer.eos])):
        engine = setting.engine_of(model, ends=ends)
        run_ours(engine, prompts[:BATCH], max_new)  # compiles what the measured rounds will need
        run_theirs(peer, prompts[:1], 4, ends)
        ours, theirs = [], []
        for _ in range(args.rounds):
            their_ids, speed = timed(run_theirs, peer, prompts, max_new, ends)
            theirs.append(speed)
            engine.load(model.params)  # forgets what its pages hold
            our_ids, speed = timed(run_ours, engine, prompts, max_new)
            ours.append(speed)
        agreed = sum(a == b for a, b in zip(our_ids, their_ids, strict=True)) / len(prompts)
        print(
            f"{name}: {len(prompts)} problems, dsmath {statistics.median(ours):.0f} tokens/s, "
            f"transformers {statistics.median(theirs):.0f} tokens/s, ratio {setting.ratio(ours, theirs)}, "
            f"same sequences {agreed:.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
