"""Where a process stands: among other processes, on which kind of device.

Importing this module does not import jax.
"""

import importlib.metadata
import importlib.util
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dsmath import storage

if TYPE_CHECKING:
    import jax.numpy as jnp

# Any of these in the environment says that a launcher started several processes, and jax finds out the rest by itself.
_COORDINATOR = "JAX_COORDINATOR_ADDRESS"
_COORDINATOR_PORT = "JAX_COORDINATOR_PORT"  # launch/ sets it on TPU hosts, where the rest may stand in metadata alone
_TPU_HOSTS = "TPU_WORKER_HOSTNAMES"
_SLURM_TASKS = "SLURM_NTASKS"
_JAX_PROCESSES = ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")

# A process that is silent for so long counts as lost, and the others end. Threads of their own send the signs of life:
# neither a compilation nor a long step holds them up.
HEARTBEAT_S = 60
SHUTDOWN_S = 60  # for which one that has done its work waits for the others to do theirs
PARTING_S = 5  # for which the first of several waits before it ends early

# How jax counts the TPU chips of a machine (jax/_src/hardware_utils.py): PCI devices of Google's, by their number.
_PCI = Path("/sys/bus/pci/devices")
_GOOGLE = "0x1ae0"
_TPU_IDS = {"0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076"}  # v3, plc, v4, v5p, v5e, v6e, tpu7x

# Device files of GPUs, by what jax calls their platform, and the word in the name of its plugin for them.
_GPUS = {"cuda": ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"), "rocm": ("/dev/kfd",)}


def choose_platform() -> None:
    """Keep jax from starting a TPU that isn't there, where libtpu is installed all the same to compile for TPUs.

    Sets JAX_PLATFORMS to what the machine has, unless the user has set it. To be called before jax starts a device;
    does not import jax. Without libtpu, and with a TPU, jax finds the right device by itself.
    """
    there = importlib.util.find_spec("libtpu") is not None or "TPU_LIBRARY_PATH" in os.environ
    if "JAX_PLATFORMS" in os.environ or not there or tpu_chips():
        return
    plugins = " ".join(plugin.name for plugin in importlib.metadata.entry_points(group="jax_plugins"))
    gpus = [name for name, files in _GPUS.items() if name in plugins and any(map(os.path.exists, files))]
    os.environ["JAX_PLATFORMS"] = ",".join([*gpus, "cpu"])
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"  # libtpu would else ask the cloud's metadata server
    if "jax" in sys.modules:  # which has read the environment by now
        sys.modules["jax"].config.update("jax_platforms", os.environ["JAX_PLATFORMS"])


def tpu_chips(pci: Path = _PCI) -> int:
    """How many TPU chips the machine has, whatever is installed."""
    ids = (
        (device / "device").read_text().strip()
        for device in pci.glob("*")
        if (device / "vendor").read_text().strip() == _GOOGLE
    )
    return sum(id in _TPU_IDS for id in ids)


def start(*, apart: bool = False) -> None:
    """Join the other processes of this program, if a launcher started several (`jax.distributed`), and keep compiled
    programs for the next start: in $JAX_COMPILATION_CACHE_DIR, which may be gs://, or in the user's cache. Idempotent.

    `apart`: leave them again, once all know their index and their devices. Nothing then computes across processes, and
    none ends because another one does.
    """
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(storage.cache() / "compiled"))
    several = (
        _COORDINATOR in os.environ
        or _COORDINATOR_PORT in os.environ
        or "," in os.environ.get(_TPU_HOSTS, "")
        or int(os.environ.get(_SLURM_TASKS, "1")) > 1
    )
    if several and not jax.distributed.is_initialized():
        if apart:
            jax.config.update("jax_cpu_collectives_implementation", None)  # those across processes need the coordinator
            jax.config.update("jax_enable_preemption_service", False)  # would take SIGTERM for itself
        count, index = (os.environ.get(name) for name in _JAX_PROCESSES)
        jax.distributed.initialize(
            num_processes=None if count is None else int(count),
            process_id=None if index is None else int(index),
            heartbeat_timeout_seconds=HEARTBEAT_S,
            shutdown_timeout_seconds=SHUTDOWN_S,
        )
        if apart:
            jax.devices()  # which the processes tell each other
            jax.distributed.shutdown()


def leave(code: int) -> NoReturn:
    """End with an exit code that isn't 0.

    Where there are several processes, without an orderly end of `jax.distributed`, which would wait for those that may
    be gone, and end this one by SIGABRT. The first process, whose end ends the others, lets them have their say.
    """
    if "jax" in sys.modules:
        import jax

        if jax.distributed.is_initialized():
            if is_first():
                time.sleep(PARTING_S)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)
    sys.exit(code)


def process() -> tuple[int, int]:
    """This process's index, and how many there are. One that has asked for no device is alone."""
    if "jax" not in sys.modules:
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


def compute_dtype(platform: str | None = None) -> "jnp.dtype":
    """The type that a platform ("cpu", "gpu", "tpu"; by default the one in use) computes in: f32 on CPU, else bf16."""
    import jax
    import jax.numpy as jnp

    return jnp.dtype(jnp.float32 if (platform or jax.default_backend()) == "cpu" else jnp.bfloat16)


def is_first() -> bool:
    """Whether this process is the one that writes and says what all of them know."""
    return process()[0] == 0
