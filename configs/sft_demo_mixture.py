"""The demo's decoder on a mixture of real and made-up problems, English and Chinese: GSM8K, Ape210K, embedded ones.

    dsmath prepare  --config configs/sft_demo_mixture.py --workdir runs/mixture --data_dir DATA
    dsmath train    --config configs/sft_demo_mixture.py --workdir runs/mixture
    dsmath evaluate --workdir runs/mixture --data_dir DATA

Hardware: 2 CPU cores, some 10 minutes, 1 GB. It shows a mixture at work, from public files to figures in two languages;
a decoder of 1 M parameters learns to copy numbers into a program, and little of which to copy. docs/results.md has what
came of it.
"""

from ml_collections import ConfigDict

from dsmath import recipes


def get_config() -> ConfigDict:
    config = recipes.demo()
    parts = ConfigDict(
        {
            "embedded": recipes.part(stands_for="problems of both languages whose programs are short"),
            "gsm8k": recipes.part(stands_for="English: GSM8K with tool-integrated solutions"),
            "ape210k": recipes.part(modes=("cot", "tool"), stands_for="Chinese: school problems"),
        }
    )
    config.data = recipes.data(
        *("embedded", "gsm8k", "ape210k"),
        embedded_problems=6000,
        row_length=256,
        packing_bins=16,
        near_duplicates=0.8,
        parts=parts,
    )
    config.eval = recipes.evaluation("embedded", "gsm8k", "cmath", "mgsm_zh", limit=250, slots=32, max_new=160)
    return config
