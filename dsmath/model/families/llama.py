"""Llama as Hugging Face lays it out, and its relatives with the same names: Mistral (a window), Qwen2 (biases)."""

import logging
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

log = logging.getLogger(__name__)

ENDS = {"embed": "model.embed_tokens.weight", "norm": "model.norm.weight", "head": "lm_head.weight"}
# Of transformers before 4.32: a buffer of each layer, which is computed anew.
UNREAD = (r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq", r"model\.rotary_emb\.inv_freq")


def attention(arch: Arch, *, paired: bool = False) -> dict[str, tuple[Rows, ...]]:
    """The tensors of a layer's attention: four matrices, with biases on the first three where the model has any."""
    found: dict[str, tuple[Rows, ...]] = {}
    for name in ("q", "k", "v"):
        turned = paired and name != "v"
        found[f"self_attn.{name}_proj.weight"] = (Rows(name, paired=turned),)
        if arch.qkv_bias:
            found[f"self_attn.{name}_proj.bias"] = (Rows(f"{name}_bias", paired=turned),)
    return found | {"self_attn.o_proj.weight": (Rows("o"),)}


NORMS = {
    "input_layernorm.weight": (Rows("attn_norm"),),
    "post_attention_layernorm.weight": (Rows("mlp_norm"),),
}


def layout(arch: Arch) -> Layout:
    """Where the weights lie."""
    mlp = {f"mlp.{name}_proj.weight": (Rows(name),) for name in ("gate", "up", "down")}
    return Layout(ENDS, "model.layers.{}.", attention(arch) | mlp | NORMS, UNREAD)


def _read_llama(config: Config, path: Path) -> Arch:
    whole_heads(config, path)
    arch = Arch(**read_standard(config, path))
    window = _window(config.get("sliding_window"), path)
    if window is None or window >= arch.max_positions:
        return arch
    log.info("%s: a window of %d, which some read of a llama: longer rows and caches are refused", path, window)
    return Arch(**read_standard(config, path) | {"max_positions": window})


def _read_mistral(config: Config, path: Path) -> Arch:
    whole_heads(config, path)
    config = {"sliding_window": 4096, "num_key_value_heads": 8} | config  # MistralConfig's defaults
    window = _window(config["sliding_window"], path)
    return Arch(**read_standard(config, path), window=_within(window, config))


def _read_qwen2(config: Config, path: Path) -> Arch:
    whole_heads(config, path)
    return Arch(**read_standard(config, path), qkv_bias=True, window=_within(_qwen2_window(config, path), config))


def _window(window: int | None, path: Path) -> int | None:
    """What a config says of it. Raises UserError for a window in which nothing is seen."""
    if window is not None and window < 1:
        raise UserError(f"{path}: sliding_window is {window}; expected at least 1, or null for none")
    return window


def _within(window: int | None, config: Config) -> int | None:
    """A window, None where it holds all positions."""
    return None if window is None or window >= config["max_position_embeddings"] else window


def _qwen2_window(config: Config, path: Path) -> int | None:
    """The window of all layers. Raises UserError where some have one and others don't."""
    layers, first = config["num_hidden_layers"], config.get("max_window_layers", 28)  # Qwen2Config's default
    window = config.get("sliding_window", 4096) if config.get("use_sliding_window", False) else None
    sliding = [window is not None and i >= first for i in range(layers)]
    if kinds := config.get("layer_types"):
        if len(kinds) != layers or not {*kinds} <= {"full_attention", "sliding_attention"}:
            raise UserError(f"{path}: layer_types is {kinds!r}; expected full or sliding attention for {layers} layers")
        sliding = [kind == "sliding_attention" for kind in kinds]
    if any(sliding) and (window is None or not all(sliding)):
        raise UserError(
            f"{path}: max_window_layers is {first} and layer_types {config.get('layer_types')!r} with a window of "
            f"{window}; the decoder has one window for all of its {layers} layers, or none"
        )
    return _window(window, path) if all(sliding) else None


def _write_mistral(arch: Arch) -> Config:
    return write_standard(arch) | {"sliding_window": arch.window}


def _write_qwen2(arch: Arch) -> Config:
    window = {"use_sliding_window": arch.window is not None, "sliding_window": arch.window}
    return write_standard(arch) | window | {"max_window_layers": arch.num_layers if arch.window is None else 0}


LLAMA = Family(
    "llama",
    "LlamaForCausalLM",
    Fields(
        read=STANDARD | {"sliding_window"},
        fixed={"attention_bias": False, "mlp_bias": False, "hidden_act": "silu"},
        harmless=HARMLESS | {"pretraining_tp", "is_llama_config"},
    ),
    _read_llama,
    write_standard,
    layout,
)
MISTRAL = Family(
    "mistral",
    "MistralForCausalLM",
    Fields(
        read=STANDARD | {"sliding_window"},
        fixed={"attention_bias": False, "mlp_bias": False, "hidden_act": "silu"},
        harmless=HARMLESS | {"pretraining_tp"},
    ),
    _read_mistral,
    _write_mistral,
    layout,
)
QWEN2 = Family(
    "qwen2",
    "Qwen2ForCausalLM",
    Fields(
        read=STANDARD | {"use_sliding_window", "sliding_window", "max_window_layers", "layer_types"},
        fixed={"hidden_act": "silu"},
        harmless=HARMLESS | {"pretraining_tp"},
    ),
    _read_qwen2,
    _write_qwen2,
    layout,
)
