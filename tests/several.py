"""What makes one program of several processes on this machine, as `jax.distributed` reads it from the environment."""

import os
import socket


def environments(processes: int, *, devices: int) -> list[dict[str, str]]:
    """Of each process, which has so many virtual devices. One process alone has nobody to join."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    joined = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": str(processes)}
    several = [joined | {"JAX_PROCESS_ID": str(index)} for index in range(processes)] if processes > 1 else [{}]
    return [os.environ | shared | own for own in several]
