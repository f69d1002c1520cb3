"""The program that an evaluation decodes with, compiled for devices that needn't be there: what it takes, its floor.

Nothing is computed twice here: the program is `dsmath.engine.device.dispatch`, on the pool that the engine would make.
"""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dsmath import chips
from dsmath.config import Config, need
from dsmath.engine import device
from dsmath.engine.engine import pace_of, pool_pages, shape_of
from dsmath.error import UserError
from dsmath.model import decoder, paged
from dsmath.plan import topology
from dsmath.plan.plan import is_out_of_memory, peak_bytes
from dsmath.sharding import DECODING, decoding_shape, make_mesh, replicas, shardings

SEQUENCE = 768  # tokens of a long response to a problem, with its prompt; most have 400 to 800
LIVE = 600  # tokens that a sequence holds on average while it decodes
TOKENS = 7_667 * 2 * 350  # of GSM8K, MATH, MGSM-zh and CMATH, in both modes, about 350 generated tokens a problem


def plan(settings: Config, name: str) -> dict[str, Any]:
    """What decoding takes on a topology (dsmath/plan/topology.py), ready for JSON; bytes are of one chip.

    `whole_cache_copies` are the instructions that copy or transpose a layer's pages; `step_s_floor` is the time in
    which a chip reads its weights and the keys and values of all sequences once, of LIVE tokens each, or of a window of
    attention; `hours` that of TOKENS at the floor. Raises UserError for a config or a topology that can't be compiled.
    """
    arch, budgets = need(settings.model, "model"), need(settings.eval, "eval")
    whole = make_mesh(decoding_shape(settings.mesh), topology.devices(name))
    meshes = replicas(whole)
    mesh, platform, dtype = meshes[0], whole.devices.flat[0].platform, jnp.bfloat16
    kind, parts, length = whole.devices.flat[0].device_kind, mesh.size, budgets.cache_length or arch.max_positions
    ways, pace, slots = paged.by_platform(platform, arch, parts), pace_of(platform), -(-budgets.slots // len(meshes))
    hbm_bytes = topology.memory(whole.devices.flat[0], whole.size)

    params = _abstract(
        jax.eval_shape(lambda: decoder.unstack(decoder.cast(decoder.init(arch, jax.random.key(0)), dtype))),
        shardings(decoder.unstacked_axes(arch), mesh, DECODING),
    )
    weights = sum(int(np.prod(x.sharding.shard_shape(x.shape))) * x.dtype.itemsize for x in jax.tree.leaves(params))
    size, token = ways.page_tokens, paged.page_bytes(ways, arch, 1, dtype) // parts
    free = int(budgets.pool_share * max(0, hbm_bytes - weights))
    found: dict[str, Any] = {
        "topology": name,
        "chips": whole.size,
        "device_kind": kind,
        "compiler": topology.compiler(name),
        "replicas": len(meshes),
        "hbm_bytes": hbm_bytes,
        "weight_bytes": weights,
        "page_tokens": size,
    }
    try:
        pages = pool_pages(slots, length, size, pace, pool_bytes=free, page_bytes=token * size)
    except UserError as e:
        return found | dict.fromkeys(_PROGRAM) | {"fits": False, "refusal": str(e), "pool_tokens": 0, "sequences": 0}

    shape, (kept, same) = shape_of(pace, budgets.decode_steps), device.placed(arch, ways, mesh)
    pool = _abstract(jax.eval_shape(lambda: paged.pool(ways, arch, pages, size, dtype)), kept)
    orders = _abstract(jax.eval_shape(lambda: device.nothing(slots, -(-length // size), shape)), same)
    state = _abstract(jax.eval_shape(lambda: device.start(slots)), same)
    program = device.program(arch, ways, shape, (0,), mesh)
    sequences = min(slots, pages * size // SEQUENCE)
    found |= {"pool_tokens": pages * size * len(meshes), "sequences": sequences * len(meshes)}
    try:
        with jax.set_mesh(mesh):
            compiled = program.lower(params, pool, state, orders, None).compile()
    except jax.errors.JaxRuntimeError as e:
        if not is_out_of_memory(e):
            raise
        return found | dict.fromkeys(_PROGRAM) | {"fits": False, "refusal": str(e).splitlines()[0]}
    memory, text = compiled.memory_analysis(), compiled.as_text()
    assert memory is not None
    assert text is not None
    peak = peak_bytes(memory, platform)
    chip = chips.of_kind(kind)
    floor = chip and (weights + sequences * min(LIVE, arch.window or LIVE) * token) / chip.hbm_bandwidth
    return found | {
        "fits": peak <= hbm_bytes,
        "refusal": None,
        "argument_bytes": memory.argument_size_in_bytes,
        "peak_bytes": peak,
        "whole_cache_copies": _copies(text, pool),
        "step_s_floor": floor,
        "hours": floor and floor * TOKENS / max(1, sequences * len(meshes)) / 3600,
    }


_PROGRAM = ("argument_bytes", "peak_bytes", "whole_cache_copies", "step_s_floor", "hours")  # None where none was made


def _abstract(tree: Any, placed: Any) -> Any:
    """Shapes and types with their shardings: a tree of these, or one for all."""
    if isinstance(placed, jax.sharding.Sharding):
        placed = jax.tree.map(lambda _: placed, tree)
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), tree, placed)


def _copies(text: str, pool: paged.Pool) -> int:
    """Instructions of a compiled program, within fusions too, that write a layer's pages anew, as a chip has them. An
    asynchronous copy counts where it is done.
    """
    shapes = {",".join(map(str, x.sharding.shard_shape(x.shape))) for x in jax.tree.leaves(pool)}
    return sum(len(re.findall(rf"= \w+\[{shape}\]\S* (?:copy|copy-done|transpose)\(", text)) for shape in shapes)
