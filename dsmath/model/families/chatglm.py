"""ChatGLM3, and GLM-4 as first released: fused queries, keys and values, half of each head turned, pairs adjacent."""

import logging
from pathlib import Path

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model.families.fields import HARMLESS, Config, Family, Fields
from dsmath.model.families.layout import Layout, Rows

log = logging.getLogger(__name__)

BASE = 10_000.0  # of the rotary frequencies, in the released code; rope_ratio is a factor of it


def layout(arch: Arch) -> Layout:
    """Where the weights lie: all queries, all keys, all values in one tensor; gate and up in one."""
    qkv = [("q", True), ("k", True), ("v", False)]
    fused = {"self_attention.query_key_value.weight": tuple(Rows(name, paired=turned) for name, turned in qkv)}
    if arch.qkv_bias:
        fused["self_attention.query_key_value.bias"] = tuple(
            Rows(f"{name}_bias", paired=turned) for name, turned in qkv
        )
    return Layout(
        {
            "embed": "transformer.embedding.word_embeddings.weight",
            "norm": "transformer.encoder.final_layernorm.weight",
            "head": "transformer.output_layer.weight",
        },
        "transformer.encoder.layers.{}.",
        {
            "input_layernorm.weight": (Rows("attn_norm"),),
            **fused,
            "self_attention.dense.weight": (Rows("o"),),
            "post_attention_layernorm.weight": (Rows("mlp_norm"),),
            "mlp.dense_h_to_4h.weight": (Rows("gate"), Rows("up")),
            "mlp.dense_4h_to_h.weight": (Rows("down"),),
        },
        (r"transformer\.rotary_pos_emb\.inv_freq",),
    )


def _read(config: Config, path: Path) -> Arch:
    for name, own in (("vocab_size", "padded_vocab_size"), ("num_hidden_layers", "num_layers")):
        if config.get(name) not in (None, config[own]):
            raise UserError(f"{path}: {name} is {config[name]!r}, but {own} is {config[own]!r}; make them agree")
    ratio, head_dim = config.get("rope_ratio", 1.0), config["kv_channels"]
    if ratio != 1.0:
        log.info("%s: rope_ratio is read as ChatGLM3 and GLM-4 do; ChatGLM2-6B-32K's own code divides positions", path)
    if head_dim % 4:
        raise UserError(f"{path}: kv_channels is {head_dim!r}; expected a multiple of 4, of which half turns in pairs")
    return Arch(
        vocab_size=config["padded_vocab_size"],
        hidden_size=config["hidden_size"],
        intermediate_size=config["ffn_hidden_size"],
        num_layers=config["num_layers"],
        num_heads=config["num_attention_heads"],
        num_kv_heads=config["multi_query_group_num"],
        head_dim=head_dim,
        rope_theta=BASE * ratio,
        norm_eps=float(config["layernorm_epsilon"]),
        tie_embeddings=False,
        max_positions=config["seq_length"],
        qkv_bias=config["add_qkv_bias"],
        rope_dims=head_dim // 2,
    )


def _write(arch: Arch) -> Config:
    return {
        "padded_vocab_size": arch.vocab_size,
        "vocab_size": arch.vocab_size,
        "hidden_size": arch.hidden_size,
        "ffn_hidden_size": arch.intermediate_size,
        "num_layers": arch.num_layers,
        "num_attention_heads": arch.num_heads,
        "multi_query_group_num": arch.num_kv_heads,
        "kv_channels": arch.head_dim,
        "rope_ratio": arch.rope_theta / BASE,
        "layernorm_epsilon": arch.norm_eps,
        "seq_length": arch.max_positions,
        "add_qkv_bias": arch.qkv_bias,
    }


CHATGLM = Family(
    "chatglm",
    "ChatGLMModel",
    Fields(
        read=frozenset(
            {
                *("model_type", "padded_vocab_size", "vocab_size", "hidden_size", "ffn_hidden_size", "num_layers"),
                *("num_hidden_layers", "num_attention_heads", "multi_query_group_num", "kv_channels", "rope_ratio"),
                *("layernorm_epsilon", "seq_length", "add_qkv_bias"),
            }
        ),
        fixed={
            "rmsnorm": True,
            "post_layer_norm": True,
            "apply_residual_connection_post_layernorm": False,
            "add_bias_linear": False,
            "original_rope": True,
            "interleaved_qkv": False,
            "tie_word_embeddings": False,
            "quantization_bit": 0,
            "pre_seq_len": None,
            "prefix_projection": False,
        },
        stated={"multi_query_attention": True},  # without it, each head has its own three together
        # How the original computes, not what: scores are divided and multiplied by a layer's number, sums are in f32.
        harmless=HARMLESS
        | {"apply_query_key_layer_scaling", "attention_softmax_in_fp32", "fp32_residual_connection"}
        | {"bias_dropout_fusion", "hidden_dropout"},
    ),
    _read,
    _write,
    layout,
)
