"""DeepSeekMath-Instruct 7B: the paper's SFT recipe (arXiv 2402.03300, section 3).

    dsmath plan     --config configs/sft_7b.py --topology v5e:4x4
    dsmath prepare  --config configs/sft_7b.py --workdir WORKDIR --data_dir DATA
    dsmath train    --config configs/sft_7b.py --workdir WORKDIR --config.start.weights=DEEPSEEK_MATH_BASE
    dsmath evaluate --workdir WORKDIR --data_dir DATA

Hardware: f32 parameters and Adam moments are 83 GB over all devices. 500 steps are 524 M tokens, 2.4e19 FLOP with
attention: by arithmetic 2 h on 8 H100 at 40% MFU; docs/scaling.md has TPU slices. Not run yet, and the data here is
GSM8K alone, not the paper's 776K examples. Accuracy in the paper (Table 5): GSM8K 82.9, MATH 46.8, MGSM-zh 73.2, CMATH
84.6 by chain of thought; 83.7, 57.4, 72.0 and 84.3 with tools.
"""

from ml_collections import ConfigDict

from dsmath import recipes


def get_config() -> ConfigDict:
    return recipes.experiment(
        model=recipes.deepseek_math_7b(),
        start=recipes.start("deepseek-math-7b-base"),
        mesh=recipes.mesh(fsdp=-1),
        data=recipes.data("gsm8k"),
        train=recipes.sft(),
        eval=recipes.evaluation("gsm8k", "math", "mgsm_zh", "cmath", slots=64, cache_length=4096, decode_steps=16),
        sandbox=recipes.sandbox(workers=16),
    )
