"""Weights from a GGUF file of llama.cpp, dequantised by the `gguf` package."""

import dataclasses
import functools
from pathlib import Path

import gguf
import numpy as np

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model.stacking import Place, Slices, Tensor, Weights

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
    return _arch(open_file(path))


@functools.lru_cache(maxsize=1)
def open_file(path: Path) -> gguf.GGUFReader:
    """A GGUF file, whose header takes seconds to parse. Raises UserError if it can't be read."""
    try:
        return gguf.GGUFReader(path)
    except (OSError, ValueError) as e:
        raise UserError(f"cannot read {path}: {e}; the file is truncated or not GGUF: fetch it again") from e


def open_weights(path: Path) -> Weights:
    """The model of a Llama GGUF, whose tensors are read and dequantised, to f32, when they are asked for."""
    reader = open_file(path)
    arch = _arch(reader)
    tensors = {tensor.name: tensor for tensor in reader.tensors}

    def find(place: Place) -> tuple[str, Tensor]:
        name = ENDS[place[0]] if len(place) == 1 else f"blk.{place[1]}.{LAYER[place[2]]}"
        if name not in tensors:
            raise UserError(f"{path} has no tensor {name}; expected a GGUF of the Llama architecture")
        return name, GGUFTensor(tensors[name], arch.head_dim if place[-1] in ("q", "k") else None)

    return Weights(arch, path, find)


@dataclasses.dataclass(frozen=True)
class GGUFTensor:
    """A tensor of a GGUF file, with the axes of HF."""

    stored: gguf.ReaderTensor
    paired: int | None  # the size of heads whose rotary pairs lie next to each other

    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in reversed(self.stored.shape))

    def read(self, slices: Slices) -> np.ndarray:
        """A part of it; whole rows, and whole heads of paired ones, are dequantised."""
        rows, *rest = slices
        H = self.paired or 1
        first, last = rows.start // H * H, -(-rows.stop // H) * H
        found = gguf.dequantize(self.stored.data[first:last], self.stored.tensor_type)
        if self.paired is not None:
            found = _half_split(found, H)
        return found[(slice(rows.start - first, rows.stop - first), *rest)]


def _half_split(rows: np.ndarray, H: int) -> np.ndarray:
    """llama.cpp stores the rotary pairs (i, i + H/2) of the HF layout next to each other; undo it."""
    return rows.reshape(-1, H // 2, 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


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
