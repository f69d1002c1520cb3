"""Sharded weights: an Orbax checkpoint of each layer, of which any number of hosts read their parts, also from gs://.

A folder has config.json and the tokenizer's files as its HF folder had them, `layers/0`, `layers/1`, ... and `ends`.
Orbax writes trees that are whole in memory, so that a layer, and not the model, has to be. Types are the files'.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model import checkpoint, decoder, stacking
from dsmath.model.stacking import Weights

LAYERS, ENDS = "layers", "ends"
CHUNK_BYTES = 8 << 20  # of an array, the least that is read
# What stands beside weights in an HF folder.
BESIDE = ("*.json", "tokenizer.model", "*.tiktoken", "chat_template.jinja")


def are_at(folder: Path) -> bool:
    """Whether a folder holds sharded weights."""
    return (folder / ENDS).is_dir()


def write(out: Path, weights: Weights) -> None:
    """Write the weights of an HF folder, a layer at a time. config.json comes last: without it, a folder is not whole.

    Raises UserError if `out` holds weights already or can't be written, and for weights that don't fit their config.
    """
    if (out / "config.json").exists():
        raise UserError(f"{out} has a config.json: it holds weights already; choose another --out")
    weights.check()
    parts: dict[Path, dict[str, stacking.Place]] = {}
    for place, _ in stacking.places(weights.arch):
        parts.setdefault(_folder(out, place), {})[place[-1]] = place
    with checkpoint.disk_errors(out, "--out"), ocp.StandardCheckpointer() as checkpointer:
        for folder, places in parts.items():
            arrays = {name: jnp.asarray(stacking.read(weights, place)) for name, place in places.items()}
            chunks = jax.tree.map(lambda _: ocp.SaveArgs(chunk_byte_size=CHUNK_BYTES), arrays)
            checkpointer.save(folder, arrays, save_args=chunks, force=True)
    beside = {path for pattern in BESIDE for path in weights.of.glob(pattern) if not path.name.endswith(".index.json")}
    with checkpoint.disk_errors(out, "--out"):
        for path in sorted(beside, key=lambda path: (path.name == "config.json", path.name)):
            (out / path.name).write_bytes(path.read_bytes())


def restore(folder: Path, arch: Arch, shardings: decoder.Params, dtype: jax.typing.DTypeLike) -> decoder.Params:
    """The parameters, stacked, on the devices of `shardings`, in `dtype`; a layer is held beside them.

    Raises UserError if the folder is damaged, not whole, or of another architecture.
    """
    wanted = jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, dtype, sharding=sharding), decoder.abstract(arch), shardings
    )
    stacks, ends = wanted.pop(LAYERS), wanted
    layer = {name: jax.ShapeDtypeStruct(x.shape[1:], dtype, sharding=_of_layer(x)) for name, x in stacks.items()}
    empty = jax.jit(lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, dtype), stacks), out_shardings=shardings[LAYERS])
    put = jax.jit(
        lambda stacks, layer, i: jax.tree.map(lambda stack, x: stack.at[i].set(x), stacks, layer),
        donate_argnums=0,
        out_shardings=shardings[LAYERS],
    )
    with ocp.StandardCheckpointer() as checkpointer:
        layers = empty()
        for i in range(arch.num_layers):
            layers = put(layers, _restore(checkpointer, _folder(folder, (LAYERS, i, "")), layer), i)
        return _restore(checkpointer, folder / ENDS, ends) | {LAYERS: layers}


def _folder(folder: Path, place: stacking.Place) -> Path:
    return folder / ENDS if len(place) == 1 else folder / LAYERS / str(place[1])


def _of_layer(stack: jax.ShapeDtypeStruct) -> jax.sharding.NamedSharding:
    mesh, spec = stack.sharding.mesh, stack.sharding.spec
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec[1:]))


def _restore(checkpointer: ocp.StandardCheckpointer, folder: Path, wanted: decoder.Params) -> decoder.Params:
    if not folder.is_dir():
        raise UserError(f"{folder} is missing; the weights aren't whole: write them again with dsmath convert")
    with checkpoint.damage(folder, f"a part of the weights, {folder},", "write them again with dsmath convert"):
        checkpoint.require_fit(wanted, checkpointer.metadata(folder).item_metadata.tree, folder)
        return checkpointer.restore(folder, wanted)
