"""Qwen, the first: fused queries, keys and values with a bias; the feed-forward size counts both inner matrices."""

from pathlib import Path

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model.families.fields import HARMLESS, Config, Family, Fields
from dsmath.model.families.layout import Layout, Rows


def layout(arch: Arch) -> Layout:
    """Where the weights lie. The feed-forward layer is w1(x) * silu(w2(x)): the gate is the second."""
    ends = {"embed": "transformer.wte.weight", "norm": "transformer.ln_f.weight", "head": "lm_head.weight"}
    return Layout(
        ends,
        "transformer.h.{}.",
        {
            "ln_1.weight": (Rows("attn_norm"),),
            "attn.c_attn.weight": (Rows("q"), Rows("k"), Rows("v")),
            "attn.c_attn.bias": (Rows("q_bias"), Rows("k_bias"), Rows("v_bias")),
            "attn.c_proj.weight": (Rows("o"),),
            "ln_2.weight": (Rows("mlp_norm"),),
            "mlp.w1.weight": (Rows("up"),),
            "mlp.w2.weight": (Rows("gate"),),
            "mlp.c_proj.weight": (Rows("down"),),
        },
        (r"transformer\.(h\.\d+\.attn\.)?rotary_emb\.inv_freq", r"transformer\.h\.\d+\.attn\.masked_bias"),
    )


def _read(config: Config, path: Path) -> Arch:
    heads, both = config["num_attention_heads"], config["intermediate_size"]
    if both % 2:
        raise UserError(f"{path}: intermediate_size is {both!r}; expected twice the size of each inner matrix")
    return Arch(
        vocab_size=config["vocab_size"],
        hidden_size=config["hidden_size"],
        intermediate_size=both // 2,
        num_layers=config["num_hidden_layers"],
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=config["kv_channels"],
        rope_theta=float(config["rotary_emb_base"]),
        norm_eps=float(config["layer_norm_epsilon"]),
        tie_embeddings=config.get("tie_word_embeddings", False),
        max_positions=config["max_position_embeddings"],
        qkv_bias=True,
    )


def _write(arch: Arch) -> Config:
    return {
        "vocab_size": arch.vocab_size,
        "hidden_size": arch.hidden_size,
        "intermediate_size": 2 * arch.intermediate_size,
        "num_hidden_layers": arch.num_layers,
        "num_attention_heads": arch.num_heads,
        "kv_channels": arch.head_dim,
        "rotary_emb_base": arch.rope_theta,
        "layer_norm_epsilon": arch.norm_eps,
        "tie_word_embeddings": arch.tie_embeddings,
        "max_position_embeddings": arch.max_positions,
    }


QWEN = Family(
    "qwen",
    "QWenLMHeadModel",
    Fields(
        read=frozenset(
            {
                *("model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
                *("num_attention_heads", "kv_channels", "rotary_emb_base", "layer_norm_epsilon"),
                *("tie_word_embeddings", "max_position_embeddings"),
            }
        ),
        fixed={"rotary_pct": 1.0, "scale_attn_weights": True, "no_bias": True, "use_cache_quantization": False},
        stated={"use_dynamic_ntk": False, "use_logn_attn": False},  # QWenConfig has both on where nothing is said
        # seq_length is what the two that are off would begin to matter behind.
        harmless=HARMLESS
        | {"seq_length", "bf16", "fp16", "fp32", "use_flash_attn", "use_cache_kernel", "softmax_in_fp32", "onnx_safe"}
        | {"attn_dropout_prob", "emb_dropout_prob", "tokenizer_type"},
    ),
    _read,
    _write,
    layout,
)
