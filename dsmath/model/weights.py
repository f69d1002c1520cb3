"""One opener for weights: "random", "smollm2", an HF folder, sharded weights, or a checkpoint of a run."""

import dataclasses
import logging

import jax
import jax.numpy as jnp

from dsmath import sharding, storage
from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model import checkpoint, decoder, folder, gguf, sharded, smollm2, stacking
from dsmath.runs import Run
from dsmath.sharding import Rules

log = logging.getLogger(__name__)

RANDOM, SMOLLM2 = "random", "smollm2"


def arch_of(source: str, wanted: Arch | None) -> Arch:
    """The architecture of start weights; `wanted` is what the config says, if it does, and must agree.

    `wanted` may have fewer positions. Raises UserError where they differ, random weights are of no architecture, or it
    can't be built.
    """
    if source == RANDOM:
        if wanted is None:
            raise UserError("config.model is missing; random weights need it, see dsmath/recipes.py")
        return decoder.check(wanted)
    found = gguf.read_arch(smollm2.fetch()) if source == SMOLLM2 else folder.read_arch(storage.path(source))
    return decoder.check(found if wanted is None else _agreed(wanted, found, source))


def open_start(
    source: str,
    wanted: Arch | None,
    *,
    seed: int,
    mesh: jax.sharding.Mesh,
    rules: Rules,
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> tuple[Arch, decoder.Params]:
    """The architecture and the parameters (layers stacked) that a run starts from, placed on a mesh by `rules`.

    They are the same on every mesh, random ones too, whose `seed` it is. Raises UserError for what can't be read, for
    a mesh that doesn't divide them, and as `arch_of`.
    """
    arch = arch_of(source, wanted)
    sharding.require_even(decoder.abstract(arch), decoder.axes(arch), mesh, rules)
    log.info("start weights: %s", source)
    shardings = sharding.shardings(decoder.axes(arch), mesh, rules)
    if source == RANDOM:
        random = jax.jit(lambda key: decoder.cast(decoder.init(arch, key), dtype), out_shardings=shardings)
        return arch, random(jax.random.key(seed))
    if source == SMOLLM2:
        return arch, stacking.place(gguf.open_weights(smollm2.fetch()), shardings, dtype)
    path = storage.path(source)
    if sharded.are_at(path):
        return arch, sharded.restore(path, arch, shardings, dtype)
    return arch, stacking.place(folder.open_weights(path), shardings, dtype)


def open_step(
    run: Run, step: int | None, source: str, wanted: Arch | None, *, seed: int, mesh: jax.sharding.Mesh, rules: Rules
) -> tuple[int, Arch, decoder.Params]:
    """A step of a run, the last one for None, its architecture and parameters (f32); step 0 is what it starts from.

    Raises UserError if there is no such checkpoint, and as `open_start`.
    """
    step = checkpoint.latest_step(run) if step is None else step
    if step is None:
        raise UserError(f"no checkpoint in {run.checkpoints}; train first, or give --step=0 for the start weights")
    if step == 0:
        return 0, *open_start(source, wanted, seed=seed, mesh=mesh, rules=rules)
    arch = arch_of(source, wanted) if wanted is None else wanted
    return step, arch, checkpoint.restore(run, step, arch, mesh, rules)


def _agreed(ours: Arch, theirs: Arch, source: str) -> Arch:
    for field in dataclasses.fields(Arch):
        a, b = getattr(ours, field.name), getattr(theirs, field.name)
        if a != b and not (field.name == "max_positions" and a < b):
            raise UserError(
                f"config.model.{field.name} is {a}, but in the weights {source!r} it is {b}; make them agree"
            )
    return ours
