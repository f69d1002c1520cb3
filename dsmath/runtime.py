"""Where a process stands: among other processes, before which storage, on which kind of device.

Importing this module does not import jax.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from etils import epath

if TYPE_CHECKING:
    import jax.numpy as jnp

# Any of these in the environment says that a launcher started several processes, and jax finds out the rest by itself.
_COORDINATOR = "JAX_COORDINATOR_ADDRESS"
_COORDINATOR_PORT = "JAX_COORDINATOR_PORT"  # launch/ sets it on TPU hosts, where the rest may stand in metadata alone
_TPU_HOSTS = "TPU_WORKER_HOSTNAMES"
_SLURM_TASKS = "SLURM_NTASKS"
_JAX_PROCESSES = ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def start() -> None:
    """Join the other processes of this program, if a launcher started several (`jax.distributed`). Idempotent."""
    import jax

    several = (
        _COORDINATOR in os.environ
        or _COORDINATOR_PORT in os.environ
        or "," in os.environ.get(_TPU_HOSTS, "")
        or int(os.environ.get(_SLURM_TASKS, "1")) > 1
    )
    if several and not jax.distributed.is_initialized():
        count, index = (os.environ.get(name) for name in _JAX_PROCESSES)
        jax.distributed.initialize(
            num_processes=None if count is None else int(count), process_id=None if index is None else int(index)
        )


def process() -> tuple[int, int]:
    """This process's index, and how many there are."""
    import jax

    return jax.process_index(), jax.process_count()


def path(name: str | os.PathLike) -> Path:
    """A path as users write them: local, or `gs://bucket/run`. Both have the methods of `pathlib.Path`."""
    return epath.Path(os.fspath(name))


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, local or not. Raises FileNotFoundError if it isn't there."""
    epath.Path(folder).rmtree()


def compute_dtype(platform: str | None = None) -> "jnp.dtype":
    """The type that a platform ("cpu", "gpu", "tpu"; by default the one in use) computes in: f32 on CPU, else bf16."""
    import jax
    import jax.numpy as jnp

    return jnp.dtype(jnp.float32 if (platform or jax.default_backend()) == "cpu" else jnp.bfloat16)


def is_first() -> bool:
    """Whether this process is the one that writes what all of them know."""
    return process()[0] == 0
