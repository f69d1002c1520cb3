"""Weights as a run would open them, and back on the host."""

import jax

from dsmath.config import Arch, Mesh
from dsmath.model import decoder, weights
from dsmath.sharding import TRAINING, make_mesh

MESHES = [(1, 1, 1), (8, 1, 1), (1, 8, 1), (1, 1, 4), (1, 2, 1, 2), (2, 2, 2)]  # of data, fsdp, tensor, context


def load(source, mesh: tuple[int, ...] = (1, 1, 1)) -> tuple[Arch, decoder.Params]:
    """The architecture and the parameters (f32, numpy) of start weights that went through a mesh."""
    arch, params = weights.open_start(str(source), None, seed=0, mesh=make_mesh(Mesh(*mesh)), rules=TRAINING)
    return arch, jax.device_get(params)
