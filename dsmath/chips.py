"""What a chip can do: the facts that utilisation and planning divide by, one record a chip.

Sources. TPU: the system architecture pages of Google Cloud's documentation (v4, v5e, v5p, v6e). The memory of v5e, v5p
and v6e is what XLA's TPU compiler says it has to give, when a program that is too large is compiled for them. NVIDIA:
data sheets of H100 SXM and A100 SXM.

Assumed, not published: `link_bandwidth`, what a chip sends at a time. On TPU that is one ring in both directions, by
two of its 4 (v5e, v6e) or 6 (v4, v5p) ports: the published bidirectional bandwidth of all ports, divided by their
number (v4: 6 links of 50 GB/s each way, arXiv 2304.01433). On NVIDIA it is NVLink in one direction, half of what is
published.
"""

from typing import NamedTuple

GIB = 2**30


class Chip(NamedTuple):
    """A chip, by the names that jax gives its devices."""

    name: str
    device_kinds: tuple[str, ...]  # of `jax.Device.device_kind`
    peak_flops: float  # dense bf16, FLOP/s
    hbm_bytes: int  # that a program can have
    hbm_bandwidth: float  # bytes/s
    link_bandwidth: float  # bytes/s sent to other chips; assumed, see above


CHIPS = (
    Chip("v4", ("TPU v4",), 275e12, 32 * GIB, 1200e9, 100e9),
    Chip("v5e", ("TPU v5 lite", "TPU v5e"), 197e12, int(15.75 * GIB), 819e9, 400e9 / 4),
    Chip("v5p", ("TPU v5", "TPU v5p"), 459e12, int(95.74 * GIB), 2765e9, 1200e9 / 6),
    Chip("v6e", ("TPU v6 lite", "TPU v6e"), 918e12, int(31.25 * GIB), 1638e9, 800e9 / 4),
    Chip("h100", ("NVIDIA H100 80GB HBM3",), 989e12, 80 * 10**9, 3350e9, 900e9 / 2),
    Chip("a100-40gb", ("NVIDIA A100-SXM4-40GB",), 312e12, 40 * 10**9, 1555e9, 600e9 / 2),
    Chip("a100-80gb", ("NVIDIA A100-SXM4-80GB",), 312e12, 80 * 10**9, 2039e9, 600e9 / 2),
)


def of_kind(device_kind: str) -> Chip | None:
    """The chip that jax calls by this name, None for one that is not in the table (a CPU, say)."""
    return next((chip for chip in CHIPS if device_kind in chip.device_kinds), None)
