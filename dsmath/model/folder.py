"""Weights in and out as an HF folder: `config.json` beside safetensors or PyTorch's .bin files, one or several.

HF stores a matrix with its output axis first, as we do, so that a conversion moves rows at most: no number changes.
What a family calls its tensors, and what its config.json means, stands in its own file (dsmath/model/families).
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
from dsmath.model import decoder, stacking, torch_bin
from dsmath.model.families import layout, model_types
from dsmath.model.families.fields import Config, Family
from dsmath.model.families.layout import Layout
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
DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}  # that an export may have
# What an export may hold, and so what another one may replace.
EXPORTED = ("*.safetensors", "*.json", "tokenizer.model", "*.tiktoken", "chat_template.jinja")


def read_arch(folder: Path) -> Arch:
    """The architecture that a folder's config.json describes. Raises UserError for what the decoder can't express."""
    return _read_config(folder)[1]


def _read_config(folder: Path) -> tuple[Family, Arch, Config]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}; expected an HF folder with config.json") from e
    except ValueError as e:
        raise UserError(f"cannot read {path}: not JSON ({e}); copy it again") from e
    family = model_types.find(config, path)
    return family, family.read_arch(config, path), config


def open_weights(folder: Path) -> Weights:
    """The model of a folder, whose tensors are read when they are asked for.

    Raises UserError for a missing, truncated or unsafe file, and for a tensor that no weight of the model is made of.
    """
    family, arch, _ = _read_config(folder)
    tensors, laid = _tensors(folder), family.layout(arch)
    _require_read(folder, tensors, laid, arch)

    def find(place: Place) -> tuple[str, Tensor]:
        name, shape = laid.tensor_name(place), layout.shape_of(laid, arch, place)
        if name not in tensors:
            raise UserError(
                f"{folder} has no tensor {name}, which its config.json calls for; "
                f"is it a {family.model_type} checkpoint?"
            )
        if tensors[name].shape != shape:
            raise UserError(stacking.misfit(folder, name, tensors[name].shape, shape))
        return name, layout.view(laid, arch, place, tensors[name])

    return Weights(arch, folder, find)


def _require_read(folder: Path, tensors: Mapping[str, Tensor], laid: Layout, arch: Arch) -> None:
    """Raise UserError for a tensor that would be left out, and so a model that would be another one."""
    read = {laid.tensor_name(place) for place, _ in stacking.places(arch)}
    for name in sorted(tensors.keys() - read):
        if arch.tie_embeddings and name == laid.ends["head"]:
            _require_same(folder, tensors, laid.ends["embed"], name)
        elif not laid.is_unread(name):
            raise UserError(
                f"{folder}: no weight of the model that its config.json describes is made of tensor {name} "
                f"{list(tensors[name].shape)}; expected the tensors of that model alone"
            )


def _require_same(folder: Path, tensors: Mapping[str, Tensor], one: str, other: str) -> None:
    """Raise UserError where two tensors that are one in the model, which .bin files hold twice, aren't."""
    a, b = tensors.get(one), tensors[other]
    same = a is not None and a.shape == b.shape and a.dtype == b.dtype
    if a is not None and same:
        rows = max(1, stacking.READ_BYTES // max(1, a.dtype.itemsize * int(np.prod(a.shape[1:]))))
        parts = (slice(start, min(start + rows, a.shape[0])) for start in range(0, a.shape[0], rows))
        rest = [slice(0, size) for size in a.shape[1:]]
        same = all(np.array_equal(a.read((part, *rest)), b.read((part, *rest))) for part in parts)
    if not same:
        raise UserError(
            f"{folder}: {other} is another tensor than {one}, but tie_word_embeddings makes them one; "
            "set it to false in config.json, or copy the weights again"
        )


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
    like: Path | None = None,
    save_tokenizer: Callable[[Path], None] | None = None,
    chat_template: str | None = None,
) -> None:
    """Write an HF folder that others load and serve, whole or not at all. `dtype` is one of DTYPES.

    It is laid out as the folder `like` is, or by what `arch` has. One tensor is in memory at a time. An earlier export
    in `folder` is replaced; raises UserError where something else is there, the disk is full, or no family of layouts
    has such an architecture. Of several processes that hold the parameters, all call this and the first writes.
    """
    folder = storage.path(folder)
    family, config = _family_of(arch, like)
    config = family.write_config(arch, config, bos=bos, eos=eos, dtype=dtype)
    _require_inverse(family, config, arch, folder / "config.json")
    shards = list(_shards(family.layout(arch), arch, params, KINDS[DTYPES[dtype]]))
    if not runtime.is_first():
        for piece in (piece for shard in shards for piece in shard):
            piece.make()
        return
    _require_replaceable(folder)
    with runs.whole_folder(folder) as out:
        if save_tokenizer is not None:
            save_tokenizer(out)
        if chat_template is not None:
            (out / "chat_template.jinja").write_text(chat_template, encoding="utf-8")
        _write_json(out / "config.json", config)
        _write_generation(out / "generation_config.json", bos, eos)
        _write_weights(out, shards, DTYPES[dtype])


def _family_of(arch: Arch, like: Path | None) -> tuple[Family, Config]:
    """The family of a folder and its config.json, or what suits an architecture and nothing."""
    if like is None:
        return model_types.suiting(arch), {}
    family, _, config = _read_config(like)
    return family, config


def _require_inverse(family: Family, config: Config, arch: Arch, path: Path) -> None:
    """Raise UserError where a config.json doesn't say all of an architecture."""
    again = family.read_arch(config, path)
    for field in dataclasses.fields(Arch):
        ours, theirs = getattr(arch, field.name), getattr(again, field.name)
        no_window = field.name == "window" and theirs is None and ours is not None and ours >= arch.max_positions
        if ours != theirs and not no_window:
            raise UserError(f"config.model.{field.name} is {ours}, which the layout {family.model_type!r} can't say")


@dataclasses.dataclass(frozen=True)
class _Piece:
    """A tensor to write."""

    name: str
    shape: tuple[int, ...]
    nbytes: int
    make: Callable[[], np.ndarray]


def _shards(laid: Layout, arch: Arch, params: decoder.Params, dtype: np.dtype) -> Iterator[list[_Piece]]:
    """Tensors, not made yet, in shards of at most SHARD_BYTES, each in the order of its file.

    Processes that share a mesh make them together, in this order.
    """
    shard: list[_Piece] = []
    size = 0
    for name, shape, make in layout.pieces(laid, arch, params):
        piece = _Piece(name, shape, int(np.prod(shape)) * dtype.itemsize, make)
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
            file.write(_cast(piece, KINDS[kind]).view(np.uint8).data)


def _cast(piece: _Piece, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(piece.make(), dtype)
    if dtype == np.float16 and not np.isfinite(values).all():
        raise UserError(f"{piece.name} has a number that float16 can't hold (over 65,504); choose --dtype=bfloat16")
    return values


def _write_generation(path: Path, bos: int | None, eos: int) -> None:
    """With the ends that the tokenizer has written there, behind the one that was trained."""
    ends = json.loads(path.read_text(encoding="utf-8"))["eos_token_id"] if path.exists() else []
    all_ends = list(dict.fromkeys((eos, *ends)))
    _write_json(
        path,
        {"bos_token_id": bos, "eos_token_id": eos if len(all_ends) == 1 else all_ends, "do_sample": False},
    )


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
