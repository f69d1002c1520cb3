"""What running programs costs while others decode: SmolLM2-135M-Instruct, f32, 16 at a time.

    python benchmarks/decode_with_tools.py --data_dir D [--problems 48] [--rounds 3]

Questions of GSM8K's training set with the programs that its annotations make. With tools, the rollout of an evaluation:
generate, run the program in the sandbox, append its output, go on; the engine computes, its words are those of the
recorded solution. Without, the same numbers of known and of new tokens per problem in one generation each. Both take
turns in one process. The sandbox's processes have the machine's cores to share with the engine.
"""

import argparse
from pathlib import Path

import decode_setting as setting

from dsmath import runtime
from dsmath.records import Exit, Trajectory
from dsmath.rollout.rollout import rollout
from dsmath.sandbox.client import Sandbox


def main() -> None:
    runtime.choose_platform()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--problems", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    model = setting.smollm2_model()
    engine = setting.engine_of(model, ends=())
    solutions = setting.solutions(args.data_dir, args.problems)
    responses: list[Trajectory] = []
    with Sandbox(setting.LIMITS) as sandbox:

        def with_tools() -> None:
            engine.load(model.params)  # forgets what its pages hold
            recorded = setting.Recorded(engine, solutions)
            responses[:] = rollout([s.problem for s in solutions], recorded, sandbox, setting.TOOLS, in_flight=32)

        with_tools()
        shown = {response.problem.id: response.programs[0].shown for response in responses}
        requests = [setting.in_one_go(engine.codec, s, shown[s.problem.id]) for s in solutions]

        def without_tools() -> None:
            engine.load(model.params)
            setting.run(engine, requests)

        taken = setting.seconds({"with": with_tools, "without": without_tools}, args.rounds)
    programs = [program for response in responses for program in response.programs]
    tokens = sum(request.max_new for request in requests)
    waited = sum(response.waited_s for response in responses) / sum(response.elapsed_s for response in responses)
    print(
        f"{len(solutions)} problems, {tokens} new tokens, {len(programs)} programs, "
        f"{sum(program.ran.exit is Exit.OK for program in programs)} ended well: "
        f"with tools {setting.ratio(taken['with'], taken['without'])} of the time without; "
        f"{waited:.1%} of it waiting for programs alone"
    )


if __name__ == "__main__":
    main()
