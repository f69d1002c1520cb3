"""GLM-4 as `transformers` lays it out: biased queries, keys and values, a part of each head turned, pairs adjacent."""

from pathlib import Path

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model.families import llama
from dsmath.model.families.fields import STANDARD, Config, Family, Fields, read_standard, rotary, write_standard
from dsmath.model.families.layout import Layout, Rows


def layout(arch: Arch) -> Layout:
    """Where the weights lie: the feed-forward layer's two inner matrices in one tensor."""
    mlp = {"mlp.gate_up_proj.weight": (Rows("gate"), Rows("up")), "mlp.down_proj.weight": (Rows("down"),)}
    tensors = llama.attention(arch, paired=True) | mlp | llama.NORMS
    return Layout(llama.ENDS, "model.layers.{}.", tensors, llama.UNREAD)


def turned(head_dim: int, share: float, path: Path) -> int | None:
    """The dimensions of a head that turn, None for all. Raises UserError where they are no pairs."""
    dims = int(head_dim * share)
    if not 0 < dims <= head_dim or dims % 2:
        raise UserError(f"{path}: {share!r} of a head's {head_dim} dimensions are to turn; expected pairs of them")
    return None if dims == head_dim else dims


def _read(config: Config, path: Path) -> Arch:
    found, share = read_standard(config, path), rotary(config, path)[2]
    dims = turned(found["head_dim"], 0.5 if share is None else share, path)  # GlmConfig's default
    return Arch(**found, qkv_bias=config["attention_bias"], rope_dims=dims)


def _write(arch: Arch) -> Config:
    share = (arch.rope_dims or arch.head_dim) / arch.head_dim
    return write_standard(arch) | {"attention_bias": arch.qkv_bias, "partial_rotary_factor": share}


GLM = Family(
    "glm",
    "GlmForCausalLM",
    Fields(read=STANDARD | {"attention_bias", "partial_rotary_factor"}, fixed={"hidden_act": "silu"}),
    _read,
    _write,
    layout,
)
