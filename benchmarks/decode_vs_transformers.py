"""Output tokens per second of the engine against `transformers` generate: SmolLM2-135M-Instruct, f32, batch 16, greedy.

    python benchmarks/decode_vs_transformers.py --data_dir DATA [--problems 48] [--fixed 64] [--max_new 256]

Prompts are GSM8K test questions in the chat template; the peer gets them left-padded in batches of 16. Tokens count up
to each sequence's end. `fixed`: no end token, every sequence has the same length. `natural`: sequences end at their end
token; the engine refills a slot, the peer waits for its batch. Both take turns in one process, after a warm-up of each.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import jax
import torch
import transformers

from dsmath.config import Arch
from dsmath.data import readers
from dsmath.engine.engine import Engine
from dsmath.model import decoder, gguf, hf, smollm2
from dsmath.text import template, tokenizer
from dsmath.text.generation import Request, Sampling

BATCH = 16
GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, seed=0)

Ids = tuple[int, ...]


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


class Turns:
    """A queue of problems that both sides work off in turns of one batch."""

    def __init__(self, engine: Engine, model: transformers.LlamaForCausalLM, ends: list[int]):
        self.engine, self.model, self.ends = engine, model, ends

    def run(self, prompts: list[Ids], max_new: int) -> tuple[list[float], list[float], float]:
        """Tokens per second of each turn, ours and the peer's, and the share of sequences on which they agree."""
        ours: dict[str, Ids] = {}
        theirs: list[Ids] = []
        speeds = [], []
        for i, ids in enumerate(prompts):
            self.engine.submit(Request(str(i), ids, max_new, (), GREEDY))
        for start in range(0, len(prompts), BATCH):
            begun = time.perf_counter()
            batch = generate(self.model, prompts[start : start + BATCH], max_new, self.ends)
            speeds[1].append(sum(map(len, batch)) / (time.perf_counter() - begun))
            theirs.extend(batch)
            begun, before = time.perf_counter(), len(ours)
            while len(ours) < min(start + BATCH, len(prompts)):
                ours |= {c.id: c.ids for c in self.engine.poll()}
            speeds[0].append(sum(map(len, list(ours.values())[before:])) / (time.perf_counter() - begun))
        agreed = sum(ours[str(i)] == ids for i, ids in enumerate(theirs)) / len(prompts)
        return *speeds, agreed


def load_peer(arch: Arch, params: decoder.Params, ends: list[int]) -> transformers.LlamaForCausalLM:
    """The same weights in `transformers`."""
    with tempfile.TemporaryDirectory() as folder:
        hf.save(Path(folder), params, arch, bos=None, eos=ends[0], dtype="float32")
        return transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--problems", type=int, default=48)
    parser.add_argument("--fixed", type=int, default=64, help="tokens per sequence without end token")
    parser.add_argument("--max_new", type=int, default=256, help="tokens per sequence at most, with end token")
    args = parser.parse_args()

    file = smollm2.fetch()
    arch, params = gguf.load(file)
    tok = tokenizer.from_gguf(file)
    chat = template.TEMPLATES["chatml"]
    problems = readers.problems("gsm8k", args.data_dir, limit=args.problems)
    prompts = [template.prompt(p.question, lang=p.lang, mode="cot", template=chat, tokenizer=tok).ids for p in problems]
    model = load_peer(arch, params, [tok.eos])
    unstacked = jax.device_put(decoder.unstack(params))
    for name, max_new, ends in (("fixed", args.fixed, []), ("natural", args.max_new, [tok.eos])):
        engine = Engine(unstacked, arch, tok, end_tokens=tuple(ends), slots=BATCH, cache_length=1024, decode_steps=8)
        turns = Turns(engine, model, ends)
        turns.run(prompts[:BATCH], 16 if name == "fixed" else max_new)  # compiles what the measured run will need
        ours, theirs, agreed = turns.run(prompts, max_new)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        print(
            f"{name}: {len(prompts)} problems, dsmath {statistics.median(ours):.0f} tokens/s, "
            f"transformers {statistics.median(theirs):.0f} tokens/s, ratio {ratio:.2f} "
            f"(turns: {', '.join(f'{a / b:.2f}' for a, b in zip(ours, theirs, strict=True))}), "
            f"same sequences {agreed:.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
