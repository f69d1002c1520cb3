"""Slices of TPUs that aren't there, for which XLA's TPU compiler compiles all the same: it comes with libtpu, and needs
no TPU.
"""

import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Sequence

import jax
from jax.experimental import topologies

from dsmath import chips
from dsmath.error import UserError

LOCAL = "local"  # the devices of this machine

# libtpu asks a launcher's environment, or else the cloud's metadata server, which host of which slice this is. Any
# answer does, as the topology is named to it. It is loaded beside other processes that have it, as no chip is taken.
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}

_NAME = re.compile(r"(v5e|v5p|v6e):\d+x\d+(x\d+)?")


def devices(name: str) -> Sequence[jax.Device]:
    """The devices of a slice, such as "v5e:4x4", or of this machine ("local").

    For a slice, sets what the environment lacks of `ENVIRONMENT`, which libtpu reads when it is loaded.
    Raises UserError for a slice that the compiler doesn't know, and without libtpu.
    """
    if name == LOCAL:
        return jax.devices()
    if not _NAME.fullmatch(name):
        raise UserError(f"--topology is {name!r}; expected {LOCAL}, or a slice of v5e, v5p or v6e such as v5e:4x4")
    if importlib.util.find_spec("libtpu") is None:
        raise UserError("no libtpu, which compiles for TPUs that aren't there; pip install -e '.[plan]'")
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    try:
        return topologies.get_topology_desc(platform="tpu", topology_name=name).devices
    except jax.errors.JaxRuntimeError as e:
        raise UserError(f"--topology is {name!r}: {str(e).splitlines()[0]}; v5e:4x4 and v5p:2x2x4 are some") from e


def memory(device: jax.Device, sharing: int) -> int:
    """Bytes that a program can have on a device: the chip's, or else what the device itself says.

    Devices on a CPU say nothing, and `sharing` of them share the machine's memory.
    """
    if device.platform == "cpu":
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // sharing
    if device.platform == "tpu" and (chip := chips.of_kind(device.device_kind)):
        return chip.hbm_bytes
    return (device.memory_stats() or {})["bytes_limit"]


def compiler(name: str) -> str:
    """What compiles for a topology, with versions."""
    jax_version = f"jax {jax.__version__}"
    return jax_version if name == LOCAL else f"{jax_version}, libtpu {importlib.metadata.version('libtpu')}"
