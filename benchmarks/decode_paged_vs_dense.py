"""Sequences that a fixed memory holds, in pages and with a full length for each: SmolLM2-135M-Instruct, f32.

    python benchmarks/decode_paged_vs_dense.py --data_dir D [--problems 128] [--max_new 160] [--dense 8] [--rounds 3]

The memory is that of `dense` sequences of 1,024 tokens. Dense is the same engine with so many slots, each of which so
has its full length; in pages, there are as many slots as problems, and the pool decides. GSM8K test questions in the
chat template, greedy, at natural lengths. Both take turns in one process; the sequences must be the same.
"""

import argparse
import functools
import statistics
from pathlib import Path

import decode_setting as setting

from dsmath import runtime
from dsmath.model import paged
from dsmath.text.generator import Request


def main() -> None:
    runtime.choose_platform()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--problems", type=int, default=128)
    parser.add_argument("--max_new", type=int, default=160, help="tokens per sequence at most")
    parser.add_argument("--dense", type=int, default=8, help="sequences of full length")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    model = setting.smollm2_model()
    prompts = setting.prompts(model, args.data_dir, args.problems)
    requests = [Request(str(i), (prompt,), args.max_new, (), setting.GREEDY) for i, prompt in enumerate(prompts)]
    memory = args.dense * setting.LONGEST * paged.page_bytes(paged.XLA, model.arch, 1, "float32")
    slots = {"paged": args.problems, "dense": args.dense}
    ends = (model.tokenizer.eos,)
    engines = {name: setting.engine_of(model, ends=ends, slots=n, pool_bytes=memory) for name, n in slots.items()}
    answers: dict[str, dict[str, setting.Ids]] = {}
    held: dict[str, list[int]] = {name: [] for name in engines}

    def way(name: str) -> None:
        engine, held[name] = engines[name], []
        engine.load(model.params)  # forgets what its pages hold
        answers[name] = setting.run(engine, requests, lambda: held[name].append(len(engine._scheduler.running)))

    taken = setting.seconds({name: functools.partial(way, name) for name in engines}, args.rounds)
    most = {name: max(counts) for name, counts in held.items()}
    usual = {name: statistics.median(counts) for name, counts in held.items()}
    same = sum(answers["paged"][id] == ids for id, ids in answers["dense"].items()) / len(requests)
    print(
        f"{memory / 2**20:.0f} MiB, {len(requests)} problems: in pages at most {most['paged']} sequences at a time "
        f"(median of dispatches {usual['paged']:.0f}), dense {most['dense']}; {most['paged'] / most['dense']:.1f} "
        f"times as many; {setting.ratio(taken['dense'], taken['paged'])} times as fast; same sequences {same:.0%}"
    )


if __name__ == "__main__":
    main()
