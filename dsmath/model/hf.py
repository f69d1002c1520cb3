"""Weights in and out as an HF folder: `config.json` and safetensors, in one file or in shards with an index.

HF stores a matrix with its output axis first, as we do, so that a conversion is a reshape: no number changes.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model import decoder

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
SHARD_BYTES = 5 << 30  # what transformers cuts checkpoints at


def load(folder: Path) -> tuple[Arch, decoder.Params]:
    """The architecture of a Llama checkpoint and its parameters, stacked, as f32 numpy arrays.

    Raises UserError for a missing or truncated file, a missing tensor, or a shape that config.json contradicts.
    """
    folder = Path(folder)
    arch = read_arch(folder)
    files = _files(folder)

    def read(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in files:
            raise UserError(
                f"{folder} has no tensor {name}, which its config.json calls for; is it a Llama checkpoint?"
            )
        tensor = files[name].get_tensor(name)
        return check_shape(tensor, name, shape, of=folder).astype(np.float32)

    return arch, fill(arch, lambda path, shape: read(_hf_name(path), shape))


def save(folder: Path, params: decoder.Params, arch: Arch, *, bos: int | None, eos: int, dtype: str) -> None:
    """Write an HF folder that `transformers` loads. `dtype` is "float32" or "bfloat16"."""
    folder = Path(folder)
    kind = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(ml_dtypes.bfloat16)}[dtype]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(_hf_config(arch, bos, eos, dtype), indent=1))
    except OSError as e:
        raise UserError(f"cannot write {folder}: {e.strerror}; choose another --out") from e
    shards: list[dict[str, np.ndarray]] = [{}]
    size = 0
    for name, tensor in _tensors(params, kind):
        if size + tensor.nbytes > SHARD_BYTES and shards[-1]:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.nbytes
    names = {}
    for i, shard in enumerate(shards, 1):
        file = "model.safetensors" if len(shards) == 1 else f"model-{i:05}-of-{len(shards):05}.safetensors"
        safetensors.numpy.save_file(shard, folder / file, metadata={"format": "pt"})
        names |= dict.fromkeys(shard, file)
    if len(shards) > 1:
        total = sum(tensor.nbytes for shard in shards for tensor in shard.values())
        index = {"metadata": {"total_size": total}, "weight_map": names}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))


def read_arch(folder: Path) -> Arch:
    """The architecture that a folder's config.json describes. Raises UserError for what the decoder can't express."""
    path = Path(folder) / "config.json"
    try:
        c = json.loads(path.read_text())
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}; expected an HF folder with config.json") from e
    except ValueError as e:
        raise UserError(f"cannot read {path}: not JSON ({e})") from e
    if c.get("model_type") not in ("llama", "mistral"):
        raise UserError(f"{path}: model_type is {c.get('model_type')!r}; expected llama or mistral")
    rope = c.get("rope_parameters") or c.get("rope_scaling") or {}
    for what, value, fine in (
        ("rope type", rope.get("rope_type", rope.get("type", "default")), ("default",)),
        ("attention_bias", c.get("attention_bias", False), (False,)),
        ("mlp_bias", c.get("mlp_bias", False), (False,)),
        ("hidden_act", c.get("hidden_act", "silu"), ("silu",)),
    ):
        if value not in fine:
            raise UserError(f"{path}: {what} is {value!r}; the decoder has {fine[0]!r} only")
    try:
        heads = c["num_attention_heads"]
        return Arch(
            vocab_size=c["vocab_size"],
            hidden_size=c["hidden_size"],
            intermediate_size=c["intermediate_size"],
            num_layers=c["num_hidden_layers"],
            num_heads=heads,
            num_kv_heads=c.get("num_key_value_heads") or heads,
            head_dim=c.get("head_dim") or c["hidden_size"] // heads,
            rope_theta=float(rope.get("rope_theta", c.get("rope_theta", 10_000.0))),
            norm_eps=float(c["rms_norm_eps"]),
            tie_embeddings=c.get("tie_word_embeddings", False),
            max_positions=c["max_position_embeddings"],
        )
    except KeyError as e:
        raise UserError(f"{path} lacks {e.args[0]!r}; expected the config.json of a Llama checkpoint") from e


def fill(arch: Arch, read: Any) -> decoder.Params:
    """Parameters from `read(path, shape)`; layer i's weight has the path ("layers", i, name) and is read on its own."""

    def stack(name: str, shape: tuple[int, ...]) -> np.ndarray:
        out = np.empty(shape, np.float32)
        for i in range(arch.num_layers):
            out[i] = read(("layers", i, name), shape[1:])
        return out

    shapes = jax.tree.map(lambda x: x.shape, jax.eval_shape(lambda: decoder.init(arch, jax.random.key(0))))
    layers = {name: stack(name, shape) for name, shape in shapes.pop("layers").items()}
    return {name: read((name,), shape) for name, shape in shapes.items()} | {"layers": layers}


def check_shape(tensor: np.ndarray, name: str, shape: tuple[int, ...], *, of: Path) -> np.ndarray:
    """The 1-D or 2-D tensor of a file in the shape of our parameter, whose head axes the file has merged."""
    merged = _merged(name, shape)
    if tensor.shape != merged:
        raise UserError(
            f"{of}: {name} is {list(tensor.shape)} but the architecture beside it makes it {list(merged)}; "
            "weights and config are of different models"
        )
    return tensor.reshape(shape)


def _merged(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) < 3:
        return shape
    output_side = "o_proj" in name or "attn_output" in name  # [D, N, H]: the heads are on the input side
    return (shape[0], shape[1] * shape[2]) if output_side else (shape[0] * shape[1], shape[2])


def _hf_name(path: tuple) -> str:
    return ENDS[path[0]] if len(path) == 1 else f"model.layers.{path[1]}.{LAYER[path[2]]}"


def _tensors(params: decoder.Params, dtype: np.dtype) -> Iterator[tuple[str, np.ndarray]]:
    for name in params.keys() - {"layers"}:
        yield ENDS[name], np.asarray(params[name]).astype(dtype)
    for name, stack in params["layers"].items():
        for i, weight in enumerate(np.asarray(stack)):
            tensor = weight.astype(dtype)
            yield (
                _hf_name(("layers", i, name)),
                np.ascontiguousarray(tensor.reshape(_merged(LAYER[name], weight.shape))),
            )


def _files(folder: Path) -> dict[str, Any]:
    """An open safetensors file for every tensor name."""
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.exists():
        paths = sorted({folder / file for file in json.loads(index.read_text())["weight_map"].values()})
    elif single.exists():
        paths = [single]
    else:
        raise UserError(f"no weights in {folder}: expected model.safetensors or model.safetensors.index.json")
    files = {}
    for path in paths:
        try:
            file = safetensors.safe_open(path, framework="np")
        except (OSError, safetensors.SafetensorError) as e:
            raise UserError(f"cannot read {path}: {e}; the file is truncated or not safetensors: copy it again") from e
        files |= dict.fromkeys(file.keys(), file)
    return files


def _hf_config(arch: Arch, bos: int | None, eos: int, dtype: str) -> dict[str, Any]:
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
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "torch_dtype": dtype,
    }
