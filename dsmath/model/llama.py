"""The Llama family as Hugging Face lays it out, and Mistral alike: what config.json says, what tensors are called.

A config.json is read by a list of what is understood: a field that isn't in it may change the model, and is refused.
"""

import logging
from pathlib import Path
from typing import Any

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model.stacking import Place

log = logging.getLogger(__name__)

ENDS = {"embed": "model.embed_tokens.weight", "norm": "model.norm.weight", "head": "lm_head.weight"}
LAYER = {
    "attn_norm": "input_layernorm.weight",
    "q": "self_attn.q_proj.weight",
    "k": "self_attn.k_proj.weight",
    "v": "self_attn.v_proj.weight",
    "o": "self_attn.o_proj.weight",
    "mlp_norm": "post_attention_layernorm.weight",
    "gate": "mlp.gate_proj.weight",
    "up": "mlp.up_proj.weight",
    "down": "mlp.down_proj.weight",
}
MODEL_TYPES = ("llama", "mistral")

READ = {
    *("model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "head_dim", "rope_theta", "rope_parameters", "rope_scaling", "rms_norm_eps"),
    *("tie_word_embeddings", "max_position_embeddings", "sliding_window"),
}
# The one value that the decoder has of each.
FIXED = {"attention_bias": False, "mlp_bias": False, "hidden_act": "silu"}
# About training, files or generation: nothing that a forward pass depends on.
HARMLESS = {
    *("architectures", "auto_map", "_name_or_path", "transformers_version", "torch_dtype", "dtype", "tokenizer_class"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "initializer_range", "use_cache"),
    *("pretraining_tp", "attention_dropout", "is_llama_config", "max_length", "max_sequence_length"),
    *("return_dict", "output_attentions", "output_hidden_states", "_attn_implementation", "_commit_hash"),
}


def tensor_name(place: Place) -> str:
    """What a parameter is called in a file."""
    return ENDS[place[0]] if len(place) == 1 else f"model.layers.{place[1]}.{LAYER[place[2]]}"


def read_arch(config: dict[str, Any], path: Path) -> Arch:
    """The architecture that a config.json describes. Raises UserError for what the decoder can't express."""
    if config.get("model_type") not in MODEL_TYPES:
        raise UserError(f"{path}: model_type is {config.get('model_type')!r}; expected {' or '.join(MODEL_TYPES)}")
    for name, value in FIXED.items():
        if config.get(name, value) != value:
            raise UserError(f"{path}: {name} is {config[name]!r}; the decoder has {value!r} only")
    known = READ | FIXED.keys() | HARMLESS
    if unknown := sorted(name for name in config if name not in known and config[name] is not None):
        raise UserError(
            f"{path}: {unknown[0]} is {config[unknown[0]]!r}, which may change the model and is not understood; "
            "expected a plain Llama or Mistral"
        )
    try:
        heads = config["num_attention_heads"]
        return Arch(
            vocab_size=config["vocab_size"],
            hidden_size=config["hidden_size"],
            intermediate_size=config["intermediate_size"],
            num_layers=config["num_hidden_layers"],
            num_heads=heads,
            num_kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            rope_theta=_theta(config, path),
            norm_eps=float(config["rms_norm_eps"]),
            tie_embeddings=config.get("tie_word_embeddings", False),
            max_positions=_positions(config, path),
        )
    except KeyError as e:
        raise UserError(f"{path} lacks {e.args[0]!r}; expected the config.json of a Llama checkpoint") from e


def _theta(config: dict[str, Any], path: Path) -> float:
    """The base of the rotary frequencies; any scaling of them is refused."""
    rope = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    theta = rope.pop("rope_theta", config.get("rope_theta", 10_000.0))
    kind = rope.pop("rope_type", rope.pop("type", "default"))
    if kind != "default":
        raise UserError(f"{path}: rope type is {kind!r}; the decoder has 'default' only")
    if changed := {name: value for name, value in rope.items() if name != "type" and value not in (None, 1.0)}:
        name, value = next(iter(changed.items()))
        raise UserError(f"{path}: {name} of the rotary positions is {value!r}, which is not understood")
    return float(theta)


def _positions(config: dict[str, Any], path: Path) -> int:
    """How long a sequence may be: up to a sliding window, within which it makes no difference."""
    positions, window = config["max_position_embeddings"], config.get("sliding_window")
    if window is None or window >= positions:
        return positions
    log.info(
        "%s: attention slides over %d positions, which isn't built: longer rows and caches are refused", path, window
    )
    return window


def write_config(arch: Arch, *, bos: int | None, eos: int, dtype: str) -> dict[str, Any]:
    """The config.json of an architecture; `read_arch` is the inverse."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": arch.vocab_size,
        "hidden_size": arch.hidden_size,
        "intermediate_size": arch.intermediate_size,
        "num_hidden_layers": arch.num_layers,
        "num_attention_heads": arch.num_heads,
        "num_key_value_heads": arch.num_kv_heads,
        "head_dim": arch.head_dim,
        "rope_theta": arch.rope_theta,
        "rms_norm_eps": arch.norm_eps,
        "tie_word_embeddings": arch.tie_embeddings,
        "max_position_embeddings": arch.max_positions,
        **FIXED,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "torch_dtype": dtype,
    }
