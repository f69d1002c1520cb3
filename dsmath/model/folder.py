"""Weights in and out as an HF folder: `config.json` beside safetensors or PyTorch's .bin files, one or several.

HF stores a matrix with its output axis first, as we do, so that a conversion is a reshape: no number changes. What a
family calls its tensors, and what its config.json means, stands in its own file (dsmath/model/llama.py).
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors

from dsmath import runs, runtime, storage
from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model import decoder, llama, stacking, torch_bin
from dsmath.model.stacking import Place, Slices, Tensor, Weights

SHARD_BYTES = 5 * 10**9  # what published checkpoints are mostly cut at, by the hub's own library
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
BIN, BIN_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
KINDS = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}
DTYPES = {"float32": "F32", "bfloat16": "BF16"}  # that an export may have
# What an export may hold, and so what another one may replace.
EXPORTED = ("*.safetensors", "*.json", "tokenizer.model", "chat_template.jinja")


def read_arch(folder: Path) -> Arch:
    """The architecture that a folder's config.json describes. Raises UserError for what the decoder can't express."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}; expected an HF folder with config.json") from e
    except ValueError as e:
        raise UserError(f"cannot read {path}: not JSON ({e}); copy it again") from e
    return llama.read_arch(config, path)


def open_weights(folder: Path) -> Weights:
    """The model of a folder, whose tensors are read when they are asked for.

    Raises UserError for a missing, truncated or unsafe file.
    """
    arch, tensors = read_arch(folder), _tensors(folder)

    def find(place: Place) -> tuple[str, Tensor]:
        name = llama.tensor_name(place)
        if name not in tensors:
            raise UserError(
                f"{folder} has no tensor {name}, which its config.json calls for; is it a Llama checkpoint?"
            )
        return name, tensors[name]

    return Weights(arch, folder, find)


@dataclasses.dataclass(frozen=True)
class SafeTensor:
    """A tensor of a safetensors file."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, slices: Slices) -> np.ndarray:
        """A part of it. The file is opened for it, as one that stays open keeps in memory all that was read."""
        with safetensors.safe_open(self.path, framework="np") as file:
            return file.get_slice(self.name)[slices]


def _tensors(folder: Path) -> Mapping[str, Tensor]:
    """All tensors of a folder, by name."""
    for index, single, read in ((INDEX, SINGLE, _read_safetensors), (BIN_INDEX, BIN, torch_bin.read_tensors)):
        if (folder / index).exists():
            return {name: tensor for path in _indexed(folder / index) for name, tensor in read(path).items()}
        if (folder / single).exists():
            return read(folder / single)
    raise UserError(f"no weights in {folder}: expected {SINGLE}, {INDEX}, {BIN} or {BIN_INDEX}")


def _indexed(path: Path) -> list[Path]:
    try:
        return sorted({path.with_name(file) for file in json.loads(path.read_text())["weight_map"].values()})
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as e:
        raise UserError(f"cannot read {path}: {e!r}; expected a weight_map of file names: copy it again") from e


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safetensors.safe_open(path, framework="np") as file:
            names = file.keys()
            found = {name: file.get_slice(name) for name in names}
            return {
                name: SafeTensor(path, name, tuple(x.get_shape()), KINDS.get(x.get_dtype(), np.dtype(np.void)))
                for name, x in found.items()
            }
    except (OSError, safetensors.SafetensorError) as e:
        raise UserError(f"cannot read {path}: {e}; the file is truncated or not safetensors: copy it again") from e


def save(
    folder: Path,
    params: decoder.Params,
    arch: Arch,
    *,
    bos: int | None,
    eos: int,
    dtype: str,
    save_tokenizer: Callable[[Path], None] | None = None,
    chat_template: str | None = None,
) -> None:
    """Write an HF folder that `transformers` loads and serves, whole or not at all. `dtype` is one of DTYPES.

    One tensor is in memory at a time. An earlier export in `folder` is replaced; raises UserError where something else
    is there, or the disk is full. Of several processes that hold the parameters, all call this and the first writes.
    """
    folder = storage.path(folder)
    shards = list(_shards(arch, params, KINDS[DTYPES[dtype]]))
    if not runtime.is_first():
        for piece in (piece for shard in shards for piece in shard):
            piece.make()
        return
    _require_replaceable(folder)
    generation = {"bos_token_id": bos, "eos_token_id": eos, "do_sample": False}
    with runs.whole_folder(folder) as out:
        if save_tokenizer is not None:
            save_tokenizer(out)
        if chat_template is not None:
            (out / "chat_template.jinja").write_text(chat_template, encoding="utf-8")
        _write_json(out / "config.json", llama.write_config(arch, bos=bos, eos=eos, dtype=dtype))
        _write_json(out / "generation_config.json", generation)
        _write_weights(out, shards, DTYPES[dtype])


@dataclasses.dataclass(frozen=True)
class _Piece:
    """A tensor to write."""

    name: str
    shape: tuple[int, ...]
    nbytes: int
    make: Callable[[], np.ndarray]


def _shards(arch: Arch, params: decoder.Params, dtype: np.dtype) -> Iterator[list[_Piece]]:
    """Tensors, not made yet, in shards of at most SHARD_BYTES, each in the order of its file.

    Processes that share a mesh make them together, in this order.
    """
    shard: list[_Piece] = []
    size = 0
    for place, shape, make in stacking.pieces(arch, params):
        piece = _Piece(llama.tensor_name(place), shape, int(np.prod(shape)) * dtype.itemsize, make)
        if size + piece.nbytes > SHARD_BYTES and shard:
            yield sorted(shard, key=lambda piece: piece.name)
            shard, size = [], 0
        shard.append(piece)
        size += piece.nbytes
    yield sorted(shard, key=lambda piece: piece.name)


def _write_weights(out: Path, shards: list[list[_Piece]], kind: str) -> None:
    names: dict[str, str] = {}
    for i, shard in enumerate(shards, 1):
        file = SINGLE if len(shards) == 1 else f"model-{i:05}-of-{len(shards):05}.safetensors"
        _write_safetensors(out / file, shard, kind)
        names |= {piece.name: file for piece in shard}
    if len(shards) > 1:
        total = sum(piece.nbytes for shard in shards for piece in shard)
        _write_json(out / INDEX, {"metadata": {"total_size": total}, "weight_map": names})


def _write_safetensors(path: Path, pieces: list[_Piece], kind: str) -> None:
    """The file that `safetensors.numpy.save_file` writes, byte for byte, a tensor at a time: it wants all at once."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for piece in pieces:
        start, end = end, end + piece.nbytes
        header[piece.name] = {"dtype": kind, "shape": list(piece.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for piece in pieces:
            file.write(np.ascontiguousarray(piece.make(), KINDS[kind]).view(np.uint8).data)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _require_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; choose another --out")
    for path in sorted(folder.iterdir()):
        if path.is_dir() or not any(fnmatch(path.name, pattern) for pattern in EXPORTED):
            raise UserError(f"{folder} holds {path.name}, which is no part of an export; choose another --out")
