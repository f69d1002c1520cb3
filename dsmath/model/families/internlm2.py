"""InternLM2: Llama's decoder under other names, with the queries of a key/value head beside its key and its value."""

from pathlib import Path

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model.families.fields import (
    HARMLESS,
    STANDARD,
    Config,
    Family,
    Fields,
    read_standard,
    whole_heads,
    write_standard,
)
from dsmath.model.families.layout import Layout, Rows


def layout(arch: Arch) -> Layout:
    """Where the weights lie. The feed-forward layer's names are those of Llama's own release: w1, w3, w2."""
    each = arch.num_heads // arch.num_kv_heads
    grouped = tuple(
        rows
        for k in range(arch.num_kv_heads)
        for rows in (Rows("q", (each * k, each * (k + 1))), Rows("k", (k, k + 1)), Rows("v", (k, k + 1)))
    )
    ends = {"embed": "model.tok_embeddings.weight", "norm": "model.norm.weight", "head": "output.weight"}
    return Layout(
        ends,
        "model.layers.{}.",
        {
            "attention.wqkv.weight": grouped,
            "attention.wo.weight": (Rows("o"),),
            "feed_forward.w1.weight": (Rows("gate"),),
            "feed_forward.w3.weight": (Rows("up"),),
            "feed_forward.w2.weight": (Rows("down"),),
            "attention_norm.weight": (Rows("attn_norm"),),
            "ffn_norm.weight": (Rows("mlp_norm"),),
        },
        (r"model\.layers\.\d+\.attention\.rotary_emb\.inv_freq",),
    )


def _read(config: Config, path: Path) -> Arch:
    # Some revisions of InternLM2-Math say "internlm", which the first InternLM is called, too.
    if config["model_type"] == "internlm" and config.get("architectures") != [INTERNLM2.architecture]:
        raise UserError(
            f"{path}: model_type is 'internlm' and architectures {config.get('architectures')!r}; "
            f"expected InternLM2, {INTERNLM2.architecture}"
        )
    whole_heads(config, path)
    return Arch(**read_standard(config, path))


INTERNLM2 = Family(
    "internlm2",
    "InternLM2ForCausalLM",
    Fields(
        read=STANDARD,
        fixed={"hidden_act": "silu"},
        stated={"bias": False},  # InternLM2Config has it on where nothing is said
        harmless=HARMLESS | {"pretraining_tp"},
    ),
    _read,
    write_standard,
    layout,
)
