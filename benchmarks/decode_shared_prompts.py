"""16 samples a problem, with and without sharing what begins alike: SmolLM2-135M-Instruct, f32, 16 at a time.

    python benchmarks/decode_shared_prompts.py --data_dir D [--problems 4] [--samples 16] [--tokens 48] [--rounds 3]

GSM8K test questions in the chat template, at temperature 0.7. Without sharing, the engine recognises nothing of what
its pages hold, and computes each prompt for each sample. Both take turns in one process, each beginning with empty
pages; the samples must be the same.
"""

import argparse
import functools
from pathlib import Path

import decode_setting as setting

from dsmath import runtime
from dsmath.text.generator import Request, Sampling


def main() -> None:
    runtime.choose_platform()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--problems", type=int, default=4)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=48, help="of each sample")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    model = setting.smollm2_model()
    prompts = setting.prompts(model, args.data_dir, args.problems)
    drawn = Sampling(temperature=0.7, top_p=0.95, top_k=None, seed=0)
    requests = [
        Request(f"{p}#{i}", (prompt,), args.tokens, (), drawn)
        for p, prompt in enumerate(prompts)
        for i in range(args.samples)
    ]
    engines = {"shared": setting.engine_of(model, ends=()), "apart": setting.blind(setting.engine_of(model, ends=()))}
    samples: dict[str, dict[str, setting.Ids]] = {}

    def way(name: str) -> None:
        engines[name].load(model.params)  # forgets what its pages hold
        samples[name] = setting.run(engines[name], requests)

    taken = setting.seconds({name: functools.partial(way, name) for name in engines}, args.rounds)
    known = sum(len(prompt.ids or ()) for prompt in prompts)
    same = sum(samples["shared"][id] == ids for id, ids in samples["apart"].items()) / len(requests)
    print(
        f"{len(prompts)} problems of {known / len(prompts):.0f} tokens, {args.samples} samples of {args.tokens} each: "
        f"sharing is {setting.ratio(taken['apart'], taken['shared'])} times as fast; same samples {same:.0%}"
    )


if __name__ == "__main__":
    main()
