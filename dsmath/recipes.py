"""Parts of experiments, which `configs/*.py` put together and change: each is a section of a config.

    config = recipes.experiment(model=recipes.smollm2_135m(), ..., train=recipes.sft(steps=150))

`dsmath/config.py` says what each field means. None stands where a protocol, the model or a suite has its own value.
"""

from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder


def experiment(seed: int = 0, **sections: ConfigDict) -> ConfigDict:
    """A config of these sections."""
    return ConfigDict({"seed": seed, **sections})


def deepseek_math_7b() -> ConfigDict:
    """DeepSeekMath 7B, as its config.json has it (arXiv 2402.03300)."""
    return ConfigDict(
        {
            "vocab_size": 102_400,
            "hidden_size": 4096,
            "intermediate_size": 11_008,
            "num_layers": 30,
            "num_heads": 32,
            "num_kv_heads": 32,
            "head_dim": 128,
            "rope_theta": 10_000.0,
            "norm_eps": 1e-6,
            "tie_embeddings": False,
            "max_positions": 4096,
        }
    )


def smollm2_135m() -> ConfigDict:
    """SmolLM2-135M, as its config.json has it."""
    return ConfigDict(
        {
            "vocab_size": 49_152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_layers": 30,
            "num_heads": 9,
            "num_kv_heads": 3,
            "head_dim": 64,
            "rope_theta": 100_000.0,
            "norm_eps": 1e-5,
            "tie_embeddings": True,
            "max_positions": 8192,
        }
    )


def start(weights: str, *, tokenizer: str = "weights", template: str = "reference") -> ConfigDict:
    """Where a run starts from."""
    return ConfigDict({"weights": weights, "tokenizer": tokenizer, "template": template})


def mesh(*, data: int = 1, fsdp: int = 1, tensor: int = 1, context: int = 1) -> ConfigDict:
    """One device unless told otherwise; -1 for what is left."""
    return ConfigDict({"data": data, "fsdp": fsdp, "tensor": tensor, "context": context})


BENCHMARKS = ("gsm8k", "math", "mgsm_zh", "cmath", "math500", "svamp", "asdiv", "mawps")


def data(*sources: str, **changes: Any) -> ConfigDict:
    """Chains of thought and tool-integrated solutions, nothing of a benchmark, in the paper's rows of 4,096 tokens.

    `parts`, by source, are made by `part`.
    """
    return _changed(
        {
            "sources": sources,
            "modes": ("cot", "tool"),
            "embedded_problems": 0,
            "row_length": 4096,
            "packing_bins": 64,
            "packing": "whole",
            "workers": 0,
            "parts": ConfigDict(),
            "decontaminate": BENCHMARKS,
            "near_duplicates": placeholder(float),
            "paper": placeholder(int),
        },
        changes,
    )


def part(**changes: Any) -> ConfigDict:
    """All of a source, in the modes of the mixture."""
    return _changed(
        {
            "modes": placeholder(tuple),
            "count": placeholder(int),
            "epochs": 1,
            "weight": placeholder(float),
            "stands_for": "",
            "paper": placeholder(int),
        },
        changes,
    )


def sft(**changes: Any) -> ConfigDict:
    """The paper's fine-tuning: 500 steps of 256 rows at a constant rate of 5e-5 (arXiv 2402.03300, section 3.2).

    It does not say the optimizer's numbers; these are DeepSeek LLM's (arXiv 2401.02954, section 2.3).
    """
    return _changed(
        {
            "steps": 500,
            "batch_rows": 256,
            "microbatches": placeholder(int),
            "rows_per_device": 1,
            "learning_rate": 5e-5,
            "warmup_steps": 0,
            "beta1": 0.9,
            "beta2": 0.95,
            "weight_decay": 0.1,
            "clip_norm": 1.0,
            "moments_dtype": "float32",
            "remat": "full",
            "loss_on_tool_output": False,
            "checkpoint_every": 50,
            "keep_checkpoints": 2,
            "keep_every": placeholder(int),
            "leap": 3.0,
            "eval_every": placeholder(int),
            "eval_problems": 32,
            "trace_step": placeholder(int),
        },
        changes,
    )


def evaluation(*suites: str, **changes: Any) -> ConfigDict:
    """Greedy, one sample per problem, with and without tools, by the authors' protocol."""
    return _changed(
        {
            "suites": suites,
            "modes": ("cot", "tool"),
            "protocol": "reference",
            "samples": 1,
            "limit": placeholder(int),
            "slots": 16,
            "cache_length": placeholder(int),
            "pool_share": 0.9,
            "decode_steps": 8,
            "max_new": placeholder(int),
            "rounds": placeholder(int),
            "temperature": 0.0,
            "top_p": 1.0,
            "top_k": placeholder(int),
            "grader": placeholder(str),
        },
        changes,
    )


def annotation(*sources: str, **changes: Any) -> ConfigDict:
    """Tool-integrated solutions to these sources' problems: at most four different ones of eight samples."""
    return _changed(
        {
            "sources": sources,
            "embedded_problems": 0,
            "mode": "tool",
            "protocol": "reference",
            "samples": 8,
            "keep": 4,
            "limit": placeholder(int),
            "unsolved": False,
            "temperature": 0.7,
            "top_p": 0.95,
        },
        changes,
    )


def sandbox(**changes: Any) -> ConfigDict:
    """Programs at level L1, with a gigabyte each."""
    return _changed(
        {
            "timeout_s": 10.0,
            "memory_mb": 1024,
            "output_kb": 64,
            "workers": 2,
            "required_level": "L1",
        },
        changes,
    )


def demo() -> ConfigDict:
    """A decoder of 1 M parameters, from scratch, on the embedded problems, English and Chinese: `dsmath demo`.

    It learns to copy numbers into a program after some 400 steps.
    """
    model = smollm2_135m()
    model.update(vocab_size=2816, hidden_size=128, intermediate_size=384, num_layers=3, num_heads=4, num_kv_heads=4)
    model.update(head_dim=32, rope_theta=1000.0, norm_eps=1e-6, max_positions=512)
    return experiment(
        model=model,
        start=start("random", tokenizer="train"),
        mesh=mesh(),
        data=data("embedded", embedded_problems=12_000, row_length=256, packing_bins=16, decontaminate=()),
        train=sft(
            steps=1200,
            batch_rows=16,
            microbatches=2,
            learning_rate=4e-3,
            warmup_steps=50,
            weight_decay=0.0,
            remat="dots",
            checkpoint_every=200,
        ),
        eval=evaluation("embedded", limit=300, slots=32, max_new=160),
        sandbox=sandbox(timeout_s=5.0, memory_mb=512),
    )


def _changed(values: dict[str, Any], changes: dict[str, Any]) -> ConfigDict:
    """Raises KeyError for a change of a field that isn't there."""
    section = ConfigDict(values)
    with section.unlocked():
        for name, value in changes.items():
            if name not in section:
                raise KeyError(f"{name} is not a field; expected one of: {', '.join(section)}")
            section[name] = value
    return section
