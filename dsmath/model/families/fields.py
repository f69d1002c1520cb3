"""Fields of config.json, read by a list of what is understood: any other may change the model, and is refused."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsmath.config import Arch, RopeScaling
from dsmath.error import UserError
from dsmath.model.families.layout import Layout

Config = dict[str, Any]

# About training, files or generation: nothing that a forward pass depends on.
HARMLESS = frozenset(
    {
        *("architectures", "auto_map", "_name_or_path", "transformers_version", "torch_dtype", "dtype"),
        *("tokenizer_class", "bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "initializer_range"),
        *("use_cache", "attention_dropout", "max_length", "max_sequence_length", "classifier_dropout"),
        *("return_dict", "output_attentions", "output_hidden_states", "_attn_implementation", "_commit_hash"),
        *("attn_implementation", "torchscript"),
    }
)
# Of these an export says its own or nothing; its tokenizer's files say of what class that is.
_OURS = {
    *("_name_or_path", "_commit_hash", "transformers_version", "torch_dtype", "dtype", "tokenizer_class"),
    *("bos_token_id", "eos_token_id"),
}

# As most families name them.
STANDARD = frozenset(
    {
        *("model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        *("num_key_value_heads", "head_dim", "rope_theta", "rope_parameters", "rope_scaling", "rms_norm_eps"),
        *("tie_word_embeddings", "max_position_embeddings"),
    }
)
_LLAMA3 = {
    "low_freq_factor": "low_freq_factor",
    "high_freq_factor": "high_freq_factor",
    "original_max_position_embeddings": "original_positions",
}


@dataclasses.dataclass(frozen=True)
class Fields:
    """The fields of a family."""

    read: frozenset[str]
    fixed: Config  # the one value that the decoder has of each, which is also meant where the field is absent
    stated: Config = dataclasses.field(default_factory=dict)  # the same, but absent, they mean something else
    harmless: frozenset[str] = HARMLESS

    def check(self, config: Config, path: Path) -> None:
        """Raise UserError for a field that the decoder can't express, or that isn't understood."""
        for name, value in (self.fixed | self.stated).items():
            if name not in config and name in self.stated:
                raise UserError(
                    f"{path} lacks {name!r}; the decoder has {value!r} only, which isn't what is then meant"
                )
            if config.get(name, value) != value:
                raise UserError(f"{path}: {name} is {config[name]!r}; the decoder has {value!r} only")
        known = self.read | self.fixed.keys() | self.stated.keys() | self.harmless
        if unknown := sorted(name for name in config if name not in known and config[name] is not None):
            raise UserError(
                f"{path}: {unknown[0]} is {config[unknown[0]]!r}, which may change the model and is not understood; "
                f"expected what a published {config['model_type']} checkpoint has"
            )


@dataclasses.dataclass(frozen=True)
class Family:
    """A layout of published checkpoints."""

    model_type: str
    architecture: str  # the class that its config.json names
    fields: Fields
    read: Callable[[Config, Path], Arch]  # fields that are known already; KeyError for one that lacks
    write: Callable[[Arch], Config]  # the inverse, without what is fixed
    layout: Callable[[Arch], Layout]

    def read_arch(self, config: Config, path: Path) -> Arch:
        """The architecture that a config.json describes. Raises UserError for what the decoder can't express."""
        self.fields.check(config, path)
        try:
            return self.read(config, path)
        except KeyError as e:
            raise UserError(
                f"{path} lacks {e.args[0]!r}; expected the config.json of a {self.model_type} checkpoint"
            ) from e
        except (TypeError, ValueError) as e:
            raise UserError(
                f"{path} has a value of the wrong kind ({e}); expected that of a {self.model_type} checkpoint"
            ) from e

    def write_config(self, arch: Arch, like: Config, *, bos: int | None, eos: int, dtype: str) -> Config:
        """The config.json of an architecture, with what in `like` changes no model; `read_arch` is the inverse."""
        kept = {name: value for name, value in like.items() if name in self.fields.harmless - _OURS}
        named = {"architectures": [self.architecture], "model_type": self.model_type, "pad_token_id": None}
        own = {**self.write(arch), **self.fields.fixed, **self.fields.stated}
        return named | kept | own | {"bos_token_id": bos, "eos_token_id": eos, "torch_dtype": dtype}


def read_standard(config: Config, path: Path) -> Config:
    """The fields of `Arch` that most families name alike."""
    heads = config["num_attention_heads"]
    theta, scaling, _ = rotary(config, path)
    return {
        "vocab_size": config["vocab_size"],
        "hidden_size": config["hidden_size"],
        "intermediate_size": config["intermediate_size"],
        "num_layers": config["num_hidden_layers"],
        "num_heads": heads,
        "num_kv_heads": config.get("num_key_value_heads") or heads,
        "head_dim": config.get("head_dim") or config["hidden_size"] // heads,
        "rope_theta": theta,
        "rope_scaling": scaling,
        "norm_eps": float(config["rms_norm_eps"]),
        "tie_embeddings": config.get("tie_word_embeddings", False),
        "max_positions": config["max_position_embeddings"],
    }


def write_standard(arch: Arch) -> Config:
    """The inverse of `read_standard`."""
    scaling = {} if arch.rope_scaling is None else {"rope_scaling": _write_scaling(arch.rope_scaling)}
    return {
        "vocab_size": arch.vocab_size,
        "hidden_size": arch.hidden_size,
        "intermediate_size": arch.intermediate_size,
        "num_hidden_layers": arch.num_layers,
        "num_attention_heads": arch.num_heads,
        "num_key_value_heads": arch.num_kv_heads,
        "head_dim": arch.head_dim,
        "rope_theta": arch.rope_theta,
        **scaling,
        "rms_norm_eps": arch.norm_eps,
        "tie_word_embeddings": arch.tie_embeddings,
        "max_position_embeddings": arch.max_positions,
    }


def whole_heads(config: Config, path: Path) -> None:
    """Raise UserError where a config turns a part of each head only."""
    share = rotary(config, path)[2]
    if share not in (None, 1.0):
        raise UserError(f"{path}: partial_rotary_factor of the rotary positions is {share!r}, which is not understood")


def rotary(config: Config, path: Path) -> tuple[float, RopeScaling | None, float | None]:
    """The base of the rotary frequencies, how they are stretched, and the share of each head that turns, if it says so.

    Both spellings are read: `rope_theta` beside `rope_scaling`, and `rope_parameters` of transformers 5.
    """
    theta, share = config.get("rope_theta"), config.get("partial_rotary_factor")
    found = []
    for field in ("rope_parameters", "rope_scaling"):
        rope = dict(config.get(field) or {})
        for name, outside in (("rope_theta", theta), ("partial_rotary_factor", share)):
            if None not in (outside, rope.get(name)) and outside != rope[name]:
                raise UserError(f"{path}: {name} is {outside!r}, but in {field} it is {rope[name]!r}; make them agree")
        theta, share = rope.pop("rope_theta", theta), rope.pop("partial_rotary_factor", share)
        if rope:
            found.append(_read_scaling(rope, path, field))
    if len(set(found)) > 1:
        raise UserError(f"{path}: rope_parameters and rope_scaling differ; make them agree")
    return float(10_000.0 if theta is None else theta), found[0] if found else None, share


def _read_scaling(rope: Config, path: Path, field: str) -> RopeScaling | None:
    kinds = {rope.pop(name) for name in ("rope_type", "type") if name in rope} or {"default"}
    if len(kinds) > 1:
        raise UserError(f"{path}: {field} has the types {sorted(map(str, kinds))}; make them agree")
    (kind,) = kinds
    wanted = {"linear": ["factor"], "dynamic": ["factor"], "llama3": ["factor", *_LLAMA3], "default": []}.get(kind)
    if wanted is None:
        raise UserError(f"{path}: rope type is {kind!r}; the decoder has 'default', 'linear' and 'llama3' only")
    if lacking := [name for name in wanted if rope.get(name) is None]:
        raise UserError(f"{path}: {field} of type {kind!r} lacks {lacking[0]!r}; copy config.json again")
    if changed := {name: value for name, value in rope.items() if name not in wanted and value not in (None, 1.0)}:
        name, value = next(iter(changed.items()))
        raise UserError(f"{path}: {name} of the rotary positions is {value!r}, which is not understood")
    if kind == "dynamic" and rope["factor"] != 1.0:
        raise UserError(f"{path}: rope type is 'dynamic' with factor {rope['factor']!r}; the decoder has none but 1.0")
    if kind in ("default", "dynamic"):  # dynamic by 1.0: nothing changes up to the positions that the model has
        return None
    more = {ours: rope[theirs] for theirs, ours in _LLAMA3.items()} if kind == "llama3" else {}
    return RopeScaling(kind, float(rope["factor"]), **more)


def _write_scaling(scaling: RopeScaling) -> Config:
    more = {theirs: getattr(scaling, ours) for theirs, ours in _LLAMA3.items()} if scaling.kind == "llama3" else {}
    return {"rope_type": scaling.kind, "type": scaling.kind, "factor": scaling.factor, **more}
