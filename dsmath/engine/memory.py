"""How much memory there is for a pool of pages."""

from pathlib import Path

import jax

_MEMINFO = Path("/proc/meminfo")


def share(mesh: jax.sharding.Mesh, part: float, *, of: int) -> int | None:
    """Bytes of each device of a mesh that are a part of what is free there, None where that can't be told.

    `of` is how many meshes there are, which share a host's memory where the device is a CPU.
    """
    free = [_free(device) for device in mesh.devices.flat]
    if any(size is None for size in free):
        return None
    least = min(size for size in free if size is not None)
    if mesh.devices.flat[0].platform == "cpu":
        least //= of * mesh.size
    return int(part * least)


def _free(device: jax.Device) -> int | None:
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        known = "bytes_limit" in stats and "bytes_in_use" in stats
        return stats["bytes_limit"] - stats["bytes_in_use"] if known else None
    if not _MEMINFO.exists():
        return None
    sizes = dict(line.split(":") for line in _MEMINFO.read_text().splitlines())
    return int(sizes["MemAvailable"].split()[0]) * 1024
