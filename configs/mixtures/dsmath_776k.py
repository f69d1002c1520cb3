"""DeepSeekMath-Instruct 7B on public sources in the place of the paper's 776K examples (arXiv 2402.03300, section 3.1).

    dsmath prepare  --config configs/mixtures/dsmath_776k.py --workdir WORKDIR --data_dir DATA --workers 16
    dsmath train    --config configs/mixtures/dsmath_776k.py --workdir WORKDIR --config.start.weights=DEEPSEEK_MATH_BASE
    dsmath evaluate --workdir WORKDIR --data_dir DATA

What the paper says of its data is two sentences. English: GSM8K and MATH, annotated with tool-integrated solutions, a
subset of MathInstruct, and Lila-OOD's training part, solved by chain of thought or program of thought. Chinese: K-12
problems of 76 sub-topics, solved by chain of thought and tool-integrated. It doesn't say how many of each, nor which
subset, and has published neither annotations nor problems. So nothing here is the paper's: each source stands in for a
part, as `stands_for` says, and the manifest tells what is missing to 776,000. An earlier source keeps a question that a
later one asks, too, in the same mode. Counts draw from sources that would outweigh the rest; they are guesses.

Sources that aren't in DATA are downloaded without --data_dir; with it, --allow_missing does without them. Where
Ape210K's training part isn't there, its valid and test parts are taken. Not prepared in full yet: of the real files,
GSM8K's and Ape210K's 10,000 others were at hand. Hardware and recipe are those of configs/sft_7b.py.
"""

from ml_collections import ConfigDict

from dsmath import recipes

ANNOTATED = "GSM8K and MATH with tool-integrated solutions"
MATHINSTRUCT = "a subset of MathInstruct"
CHINESE = "Chinese K-12 problems of 76 sub-topics"


def get_config() -> ConfigDict:
    parts = {
        "gsm8k": recipes.part(modes=("cot", "tool"), stands_for=f"{ANNOTATED}; programs of GSM8K's own annotations"),
        "math": recipes.part(modes=("cot",), stands_for=f"{MATHINSTRUCT}: MATH's own solutions"),
        "mathinstruct": recipes.part(modes=("cot", "pot"), stands_for=MATHINSTRUCT),
        "lila": recipes.part(modes=("pot",), stands_for="Lila-OOD's training part"),
        "openmathinstruct1": recipes.part(
            modes=("tool",), count=60_000, stands_for=f"{ANNOTATED}; sampled from Mixtral, mostly MATH"
        ),
        "numina_tir": recipes.part(
            modes=("tool",), stands_for=f"{ANNOTATED}; sampled from GPT-4, of problems beyond GSM8K and MATH"
        ),
        "ape210k": recipes.part(
            modes=("cot", "tool"), stands_for=f"{CHINESE}, both ways of solving; primary school alone"
        ),
        "tal_scq5k": recipes.part(modes=("cot",), stands_for=f"{CHINESE}; competitions, multiple choice"),
        "school_math": recipes.part(
            modes=("cot",), count=75_000, stands_for=f"{CHINESE}; by ChatGPT, which nobody has checked"
        ),
    }
    return recipes.experiment(
        model=recipes.deepseek_math_7b(),
        start=recipes.start("deepseek-math-7b-base"),
        mesh=recipes.mesh(fsdp=-1),
        data=recipes.data(
            *parts, modes=("cot", "tool", "pot"), parts=ConfigDict(parts), near_duplicates=0.8, paper=776_000
        ),
        train=recipes.sft(),
        eval=recipes.evaluation("gsm8k", "math", "mgsm_zh", "cmath", slots=64, cache_length=4096, decode_steps=16),
        sandbox=recipes.sandbox(workers=16),
    )
