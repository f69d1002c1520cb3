"""One optimizer step, as a pure function, and the one place where it is jitted."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dsmath import runtime
from dsmath.config import Arch, Train
from dsmath.data.feed.pipeline import COLUMNS
from dsmath.error import UserError
from dsmath.model import decoder, kernels, remat
from dsmath.sharding import TRAINING, constrain, shardings, spec
from dsmath.train import loss as losses
from dsmath.train import optimizer as optimizers

Batch = dict[str, jax.Array]  # [B, T]: dsmath/data/feed/pipeline.py
Loss = Callable[[decoder.Params, Batch], tuple[jax.Array, jax.Array]]  # (sum, count), to be divided once, at the end


class TrainState(NamedTuple):
    """What a step changes."""

    step: jax.Array  # steps done
    params: decoder.Params  # f32, layers stacked
    opt_state: Any


class Metrics(NamedTuple):
    """Of one step, over all devices; scalars on the device."""

    loss: jax.Array  # mean over trained tokens, nats
    grad_norm: jax.Array  # global, before clipping
    trained_tokens: jax.Array
    tokens: jax.Array  # without padding


def sft_loss(
    params: decoder.Params,
    batch: Batch,
    *,
    arch: Arch,
    keep: remat.Policy,
    compute_dtype: jax.typing.DTypeLike,
    packed_attention: kernels.PackedAttention,
) -> tuple[jax.Array, jax.Array]:
    """Supervised fine-tuning: the sum of the loss over trained tokens, and their number."""
    params = decoder.cast(params, compute_dtype)
    hidden_BTD = decoder.hidden(
        params,
        *(batch[name] for name in ("tokens", "positions", "segments")),
        arch=arch,
        keep=keep,
        packed_attention=packed_attention,
    )
    return losses.cross_entropy(params, hidden_BTD, batch["targets"], batch["weights"], batch["trained"])


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    microbatches: int,
) -> tuple[TrainState, Metrics]:
    """The state after one step over `batch`, whose rows are worked off in `microbatches` parts.

    Sums, not means, are accumulated and divided once by the number of trained tokens of the whole batch, so that
    every trained token weighs the same however it was batched.
    """
    gradient = jax.value_and_grad(loss, has_aux=True)

    def accumulate(carry, microbatch):
        (total, count), grads = gradient(state.params, microbatch)
        return jax.tree.map(jnp.add, carry, (total, count, grads)), None

    zero = (jnp.zeros(()), jnp.zeros(()), jax.tree.map(jnp.zeros_like, state.params))
    (total, count, grads), _ = jax.lax.scan(accumulate, zero, _split(batch, microbatches))
    denominator = jnp.maximum(count, 1)
    grads = jax.tree.map(lambda g: g / denominator, grads)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    metrics = Metrics(
        loss=total / denominator,
        grad_norm=optax.tree.norm(grads),
        trained_tokens=count,
        tokens=jnp.sum(batch["segments"] > 0),
    )
    return TrainState(state.step + 1, optax.apply_updates(state.params, updates), opt_state), metrics


def new_state(params: decoder.Params, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step."""
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))


def abstract_state(arch: Arch, optimizer: optax.GradientTransformation, mesh: Mesh) -> TrainState:
    """Shapes, types and shardings of the state: parameters by their axes, the optimizer's moments like them."""
    params = decoder.abstract(arch)
    whole = NamedSharding(mesh, PartitionSpec())
    params_shardings = shardings(decoder.axes(arch), mesh, TRAINING)
    opt_shardings = optimizers.shardings(optimizer, params, params_shardings, whole)
    step, params, opt_state = jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        tuple(jax.eval_shape(functools.partial(new_state, optimizer=optimizer), params)),
        (whole, params_shardings, opt_shardings),
    )
    return TrainState(step, params, opt_state)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """How each array of a batch is split."""
    return NamedSharding(mesh, spec(("batch", "length"), TRAINING))


def placed(batch: dict[str, np.ndarray], mesh: Mesh) -> Batch:
    """A whole batch, which every process has, on the devices: each takes the part that its devices are to work on."""
    sharding = batch_sharding(mesh)
    return {name: jax.make_array_from_callback(x.shape, sharding, x.__getitem__) for name, x in batch.items()}


def row_shards(mesh: Mesh) -> int:
    """Over how many parts of the mesh the rows of a batch are dealt."""
    return mesh.shape["data"] * mesh.shape["fsdp"]


def microbatch_count(train: Train, mesh: Mesh) -> int:
    """In how many parts a step's rows are worked off: as the config says, or as few as rows_per_device allows.

    Raises UserError where the rows can't be dealt out evenly.
    """
    if train.microbatches is not None:
        return train.microbatches
    rows, uneven = divmod(train.batch_rows, row_shards(mesh))
    if uneven:
        raise UserError(
            f"config.train.batch_rows is {train.batch_rows}; expected a multiple of {row_shards(mesh)}, "
            "the devices along data and fsdp"
        )
    return next(parts for parts in range(1, rows + 1) if rows % parts == 0 and rows // parts <= train.rows_per_device)


def compile_step(
    mesh: Mesh,
    *,
    arch: Arch,
    optimizer: optax.GradientTransformation,
    shape: tuple[int, int],
    microbatches: int,
    keep: remat.Policy,
) -> jax.stages.Compiled:
    """`train_step` compiled for a mesh and a batch of `shape` (rows, length): (state, batch) -> (state, metrics).

    The state is donated. Computes in bf16 over f32 parameters on accelerators, in f32 on CPU.
    Raises UserError where rows can't be dealt out, or are longer than the model has positions.
    """
    if shape[1] > arch.max_positions:
        raise UserError(
            f"config.data.row_length is {shape[1]}, but the model has {arch.max_positions} positions; "
            f"set it to at most {arch.max_positions}"
        )
    if shape[1] % mesh.shape["context"]:
        raise UserError(
            f"config.data.row_length is {shape[1]}; expected a multiple of config.mesh.context, {mesh.shape['context']}"
        )
    parts = microbatches * row_shards(mesh)
    if shape[0] % parts:
        raise UserError(
            f"config.train.batch_rows is {shape[0]}; expected a multiple of {parts}, "
            "which is config.train.microbatches times the devices along data and fsdp"
        )
    platform = mesh.devices.flat[0].platform
    state = abstract_state(arch, optimizer, mesh)
    sharding = batch_sharding(mesh)
    batch = {k: jax.ShapeDtypeStruct(shape, v, sharding=sharding) for k, v in COLUMNS.items()}
    loss = functools.partial(
        sft_loss,
        arch=arch,
        keep=keep,
        compute_dtype=runtime.compute_dtype(platform),
        packed_attention=kernels.by_platform(platform),
    )
    step = functools.partial(train_step, loss=loss, optimizer=optimizer, microbatches=microbatches)
    whole = NamedSharding(mesh, PartitionSpec())
    out_shardings = (jax.tree.map(lambda x: x.sharding, state), whole)
    with jax.set_mesh(mesh):
        return jax.jit(step, donate_argnums=0, out_shardings=out_shardings).lower(state, batch).compile()


def _split(batch: Batch, parts: int) -> Batch:
    """[B, T] -> [parts, B / parts, T]. Every part takes rows of every device, so that none moves."""

    def split(x: jax.Array) -> jax.Array:
        x = x.reshape(x.shape[0] // parts, parts, *x.shape[1:]).swapaxes(0, 1)
        return constrain(x, (None, "batch", "length"), TRAINING)

    return jax.tree.map(split, batch)
