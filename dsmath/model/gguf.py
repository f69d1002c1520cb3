"""Weights from a GGUF file of llama.cpp, dequantised by the `gguf` package."""

from pathlib import Path

import gguf
import numpy as np

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model import decoder, stacking
from dsmath.model.stacking import Place

ENDS = {"embed": "token_embd.weight", "norm": "output_norm.weight", "head": "output.weight"}
LAYER = {
    "attn_norm": "attn_norm.weight",
    "q": "attn_q.weight",
    "k": "attn_k.weight",
    "v": "attn_v.weight",
    "o": "attn_output.weight",
    "mlp_norm": "ffn_norm.weight",
    "gate": "ffn_gate.weight",
    "up": "ffn_up.weight",
    "down": "ffn_down.weight",
}


def read_arch(path: Path) -> Arch:
    """The architecture of a Llama GGUF. Raises UserError if it can't be read."""
    return _arch(_open(path))


def load(path: Path) -> tuple[Arch, decoder.Params]:
    """The architecture of a Llama GGUF and its parameters, stacked, as f32 numpy arrays."""
    reader = _open(path)
    arch = _arch(reader)
    tensors = {tensor.name: tensor for tensor in reader.tensors}

    def read(place: Place, shape: tuple[int, ...]) -> np.ndarray:
        name = place[-1]
        full = ENDS[place[0]] if len(place) == 1 else f"blk.{place[1]}.{LAYER[place[2]]}"
        if full not in tensors:
            raise UserError(f"{path} has no tensor {full}; expected a GGUF of the Llama architecture")
        tensor = gguf.dequantize(tensors[full].data, tensors[full].tensor_type)
        weight = stacking.split(tensor, place, shape, called=full, of=path)
        return _half_split(weight) if name in ("q", "k") else weight

    return arch, stacking.fill(arch, read)


def _open(path: Path) -> gguf.GGUFReader:
    try:
        return gguf.GGUFReader(path)
    except (OSError, ValueError) as e:
        raise UserError(f"cannot read {path}: {e}; the file is truncated or not GGUF: fetch it again") from e


def _half_split(weight_NHD: np.ndarray) -> np.ndarray:
    """llama.cpp stores the rotary pairs (i, i + H/2) of the HF layout next to each other; undo it."""
    N, H, D = weight_NHD.shape
    return weight_NHD.reshape(N, H // 2, 2, D).swapaxes(1, 2).reshape(N, H, D)


def _arch(reader: gguf.GGUFReader) -> Arch:
    def field(name: str):
        return reader.fields[name].contents()

    heads, width = field("llama.attention.head_count"), field("llama.embedding_length")
    return Arch(
        vocab_size=field("llama.vocab_size"),
        hidden_size=width,
        intermediate_size=field("llama.feed_forward_length"),
        num_layers=field("llama.block_count"),
        num_heads=heads,
        num_kv_heads=field("llama.attention.head_count_kv"),
        head_dim=width // heads,
        rope_theta=float(field("llama.rope.freq_base")),
        # stored as f32; the decimal that was meant is the shortest that rounds to it
        norm_eps=float(str(np.float32(field("llama.attention.layer_norm_rms_epsilon")))),
        tie_embeddings=all(tensor.name != ENDS["head"] for tensor in reader.tensors),
        max_positions=field("llama.context_length"),
    )
