"""What the TPU compiler says of small programs, as JSON on stdout: a process of its own, as it loads libtpu.

Compiles a loop of collectives that can be counted by hand, a small step, the same step with far too many rows, and the
program that decodes, with many sequences and with few.
"""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from dsmath.config import Arch, Config, Mesh
from dsmath.plan import decoding, hlo, topology, traffic
from dsmath.plan.plan import plan
from tests.train.conftest import CONFIG

NAME = "v5e:2x2"

# Four layers of heads as wide as the 7B's, in rows of 512 tokens.
SMALL: Config = dataclasses.replace(
    CONFIG,
    model=Arch(
        vocab_size=4096,
        hidden_size=512,
        intermediate_size=1024,
        num_layers=4,
        num_heads=4,
        num_kv_heads=4,
        head_dim=128,
        rope_theta=1e4,
        norm_eps=1e-6,
        tie_embeddings=False,
        max_positions=512,
    ),
    mesh=Mesh(data=1, fsdp=-1, tensor=1),
    data=dataclasses.replace(CONFIG.data, row_length=512),
    train=dataclasses.replace(CONFIG.train, batch_rows=8, microbatches=None, rows_per_device=1, remat="full"),
)
# A layer's pages are 256 MB on a chip. Those of SMALL fit the memory within a chip, where the compiler moves them.
CROWDED = dataclasses.replace(SMALL, eval=dataclasses.replace(CONFIG.eval, slots=1024, cache_length=512))
TOO_LARGE = dataclasses.replace(SMALL, train=dataclasses.replace(SMALL.train, batch_rows=2**17, rows_per_device=2**15))


def loop() -> dict[str, Any]:
    """7 all-reduces of 4 KB in a loop, and a permute behind it."""
    mesh = jax.make_mesh((4,), ("x",), axis_types=(AxisType.Auto,), devices=topology.devices(NAME))
    split = PartitionSpec("x")

    def body(x):
        x = jax.lax.fori_loop(0, 7, lambda _, x: jax.lax.psum(x, "x") * 0.5, x)
        return jax.lax.ppermute(x, "x", [(i, (i + 1) % 4) for i in range(4)])

    x = jax.ShapeDtypeStruct((4 * 1024,), jnp.float32, sharding=NamedSharding(mesh, split))
    compiled = (
        jax.jit(jax.shard_map(body, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)).lower(x).compile()
    )
    moved = traffic.moved(hlo.parse(compiled.as_text()))
    return {"count": moved.count, "bytes": moved.bytes, "unread_loops": moved.unread_loops}


if __name__ == "__main__":
    found = {
        "loop": loop(),
        "small": plan(SMALL, NAME, search=False),
        "too_large": plan(TOO_LARGE, NAME, search=False),
        "decoding": decoding.plan(CROWDED, NAME),
        "decoding_few": decoding.plan(SMALL, NAME),
    }
    print(json.dumps(found))
