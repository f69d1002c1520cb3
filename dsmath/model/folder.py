"""Weights in and out as an HF folder: `config.json` and safetensors, in one file or in shards with an index.

HF stores a matrix with its output axis first, as we do, so that a conversion is a reshape: no number changes. What a
family calls its tensors, and what its config.json means, stands in its own file (dsmath/model/llama.py).
"""

import json
import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from dsmath import runs
from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model import decoder, llama, stacking
from dsmath.model.stacking import Place

SHARD_BYTES = 5 << 30  # what transformers cuts checkpoints at
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
# What an export may hold, and so what another one may replace.
EXPORTED = ("*.safetensors", "*.json", "tokenizer.model", "chat_template.jinja")


def read_arch(folder: Path) -> Arch:
    """The architecture that a folder's config.json describes. Raises UserError for what the decoder can't express."""
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}; expected an HF folder with config.json") from e
    except ValueError as e:
        raise UserError(f"cannot read {path}: not JSON ({e}); copy it again") from e
    return llama.read_arch(config, path)


def load(folder: Path) -> tuple[Arch, decoder.Params]:
    """The architecture of a checkpoint and its parameters, stacked, as f32 numpy arrays.

    Raises UserError for a missing or truncated file, a missing tensor, or a shape that config.json contradicts.
    """
    folder = Path(folder)
    arch, files = read_arch(folder), _files(folder)

    def read(place: Place, shape: tuple[int, ...]) -> np.ndarray:
        name = llama.tensor_name(place)
        if name not in files:
            raise UserError(
                f"{folder} has no tensor {name}, which its config.json calls for; is it a Llama checkpoint?"
            )
        tensor = files[name].get_tensor(name)
        return stacking.split(tensor, place, shape, called=name, of=folder).astype(np.float32)

    return arch, stacking.fill(arch, read)


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

    One shard is in memory at a time. An earlier export in `folder` is replaced; raises UserError where something else
    is there, or the disk is full.
    """
    folder = Path(folder)
    _require_replaceable(folder)
    generation = {"bos_token_id": bos, "eos_token_id": eos, "do_sample": False}
    with runs.whole_folder(folder) as out:
        if save_tokenizer is not None:
            save_tokenizer(out)
        if chat_template is not None:
            (out / "chat_template.jinja").write_text(chat_template, encoding="utf-8")
        _write_json(out / "config.json", llama.write_config(arch, bos=bos, eos=eos, dtype=dtype))
        _write_json(out / "generation_config.json", generation)
        try:
            _write_weights(out, params, DTYPES[dtype])
        except safetensors.SafetensorError as e:
            raise OSError(0, str(e)) from e


def _write_weights(out: Path, params: decoder.Params, dtype: np.dtype) -> None:
    shards = list(_shards(params, dtype))
    names: dict[str, str] = {}
    total = 0
    for i, shard in enumerate(shards, 1):
        file = SINGLE if len(shards) == 1 else f"model-{i:05}-of-{len(shards):05}.safetensors"
        tensors = {name: np.ascontiguousarray(make().astype(dtype)) for name, make in shard.items()}
        safetensors.numpy.save_file(tensors, out / file, metadata={"format": "pt"})
        _make_readable(out / file)
        names |= dict.fromkeys(shard, file)
        total += sum(tensor.nbytes for tensor in tensors.values())
    if len(shards) > 1:
        _write_json(out / INDEX, {"metadata": {"total_size": total}, "weight_map": names})


def _shards(params: decoder.Params, dtype: np.dtype) -> Iterator[dict[str, Callable[[], np.ndarray]]]:
    """Tensors by name, not made yet, in shards of at most SHARD_BYTES."""
    shard: dict[str, Callable[[], np.ndarray]] = {}
    size = 0
    for place, make, shape in stacking.pieces(params):
        nbytes = int(np.prod(shape)) * dtype.itemsize
        if size + nbytes > SHARD_BYTES and shard:
            yield shard
            shard, size = {}, 0
        shard[llama.tensor_name(place)] = make
        size += nbytes
    yield shard


def _make_readable(path: Path) -> None:
    """As readable as the umask says: safetensors writes for its user alone."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


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


def _files(folder: Path) -> dict[str, Any]:
    """An open safetensors file for every tensor name."""
    index, single = folder / INDEX, folder / SINGLE
    if index.exists():
        paths = sorted({folder / file for file in json.loads(index.read_text())["weight_map"].values()})
    elif single.exists():
        paths = [single]
    else:
        raise UserError(f"no weights in {folder}: expected {SINGLE} or {INDEX}")
    files: dict[str, Any] = {}
    for path in paths:
        try:
            file = safetensors.safe_open(path, framework="np")
        except (OSError, safetensors.SafetensorError) as e:
            raise UserError(f"cannot read {path}: {e}; the file is truncated or not safetensors: copy it again") from e
        files |= dict.fromkeys(file.keys(), file)
    return files
