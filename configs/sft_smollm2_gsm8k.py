"""SmolLM2-135M-Instruct on GSM8K: chain of thought and tool-integrated solutions made of the calculator annotations.

    dsmath prepare  --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2 --data_dir DATA
    dsmath evaluate --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2 --data_dir DATA --step 0
    dsmath train    --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2
    dsmath evaluate --workdir runs/smollm2 --data_dir DATA

Hardware: 2 CPU cores, about half a minute a step when they are idle; what was reached stands in docs/results.md. An
epoch is about 850 steps.
"""

from ml_collections import ConfigDict

from dsmath import recipes


def get_config() -> ConfigDict:
    return recipes.experiment(
        model=recipes.smollm2_135m(),
        start=recipes.start("smollm2", template="chatml"),
        mesh=recipes.mesh(data=-1),
        data=recipes.data("gsm8k", row_length=512, packing_bins=32),
        train=recipes.sft(
            steps=150,
            batch_rows=8,
            microbatches=4,
            learning_rate=3e-4,
            warmup_steps=10,
            weight_decay=0.0,
            remat="dots",
            checkpoint_every=10,
        ),
        eval=recipes.evaluation("gsm8k", limit=100, cache_length=1024, max_new=256),
        sandbox=recipes.sandbox(),
    )
