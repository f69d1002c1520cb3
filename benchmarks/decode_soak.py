"""The engine under load: what thousands of problems with tools leave behind.

    python benchmarks/decode_soak.py --data_dir D [--problems 5000] [--slots 32] [--pool 2048]

Questions of GSM8K's training set, of all lengths, with the programs that its annotations make, through the rollout of
an evaluation and the sandbox; the engine computes with a tiny random model over a pool of `pool` tokens, too small for
its slots, so that sequences are put back. Says how often each problem was answered, what of the pool is in use at the
end, and what memory this process had on the way.
"""

import argparse
import collections
import time
from pathlib import Path

import decode_setting as setting
import jax

from dsmath import config, recipes, runtime
from dsmath.config import Arch
from dsmath.model import decoder, paged
from dsmath.records import Exit, Stop
from dsmath.rollout.rollout import rollout
from dsmath.sandbox.client import Sandbox

REPORTS = 10
PAGE = 16  # tokens, so that most sequences take many pages
TINY = {"hidden_size": 32, "intermediate_size": 64, "num_layers": 2, "num_heads": 2, "num_kv_heads": 1, "head_dim": 16}


def tiny() -> setting.Model:
    """Random weights with SmolLM2's vocabulary."""
    arch = config.parse(Arch, recipes.smollm2_135m().to_dict() | TINY, path="config.model")
    return setting.model_of(arch, decoder.init(arch, jax.random.key(0)))


def resident_mb() -> float:
    """Memory of this process."""
    return int(Path("/proc/self/smaps_rollup").read_text().split("Rss:")[1].split()[0]) / 1024


def main() -> None:
    runtime.choose_platform()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--problems", type=int, default=5000)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--pool", type=int, default=2048, help="tokens")
    args = parser.parse_args()

    model = tiny()
    memory = args.pool * paged.page_bytes(paged.XLA, model.arch, 1, "float32")
    engine = setting.engine_of(model, ends=(), slots=args.slots, page_tokens=PAGE, pool_bytes=memory)
    pages = engine._scheduler.pages
    solutions = setting.solutions(args.data_dir, args.problems)
    recorded = setting.Recorded(engine, solutions)
    answered, exits, stops = collections.Counter(), collections.Counter(), collections.Counter()
    put_backs, shortest, longest, begun = 0, setting.LONGEST, 0, time.perf_counter()
    with Sandbox(setting.LIMITS) as sandbox:
        problems = [solution.problem for solution in solutions]
        for response in rollout(problems, recorded, sandbox, setting.TOOLS, in_flight=2 * args.slots):
            answered[response.key] += 1
            stops[response.stop] += 1
            exits.update(program.ran.exit for program in response.programs)
            put_backs += response.put_backs
            tokens = sum(len(piece.ids or ()) for piece in (response.prompt, *response.response))
            shortest, longest = min(shortest, tokens), max(longest, tokens)
            if answered.total() % (args.problems // REPORTS) == 0:
                seconds = time.perf_counter() - begun
                print(f"{answered.total()} answered in {seconds:.0f} s, {resident_mb():.0f} MB", flush=True)
    print(
        f"{len(solutions)} problems of {shortest} to {longest} tokens, {len(answered)} answered, "
        f"{answered.total() - len(answered)} of them again; {stops[Stop.END]} ended by themselves; "
        f"{exits.total()} programs, {exits[Exit.OK]} ended well; {put_backs} put back; "
        f"pages in use at the end: {pages.count - pages.available} of {pages.count}"
    )


if __name__ == "__main__":
    main()
