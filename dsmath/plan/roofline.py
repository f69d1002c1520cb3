"""How fast a step can be at best: what it computes and moves, over what a chip can."""

from typing import NamedTuple

from dsmath.chips import Chip
from dsmath.config import Arch
from dsmath.train.metrics import flops_per_token, keys_seen


class Roofline(NamedTuple):
    """Seconds of a step, had it nothing else to do."""

    compute_s: float
    memory_s: float
    interconnect_s: float

    @property
    def step_s(self) -> float:
        """Of a step whose parts all overlap: no step is faster."""
        return max(self)

    @property
    def serial_s(self) -> float:
        """Of a step whose parts wait for each other."""
        return sum(self)


def recomputed_flops_per_token(arch: Arch, row_length: int, remat: str) -> float:
    """FLOPs of one token that the backward pass does over, by the name of a policy (dsmath/model/remat.py).

    That is a layer's forward pass: 2 per matrix parameter, and attention over a whole row, 4 N H for each key that is
    seen, which `attention` and `dots` keep; `dots` keeps the products, too. The head's products are made once in any
    case.
    """
    if remat == "dots":
        return 0.0
    D, F, H, L = arch.hidden_size, arch.intermediate_size, arch.head_dim, arch.num_layers
    products = 2 * L * (2 * D * arch.num_heads * H + 2 * D * arch.num_kv_heads * H + 3 * D * F)
    return products + (0 if remat == "attention" else 4 * L * arch.num_heads * H * keys_seen(arch, row_length))


def flops(arch: Arch, shape: tuple[int, int], remat: str) -> tuple[float, float]:
    """(FLOPs of a step over a batch of this shape, of which none is done twice; those that are done over)."""
    rows, row_length = shape
    tokens = rows * row_length
    return tokens * flops_per_token(arch, row_length), tokens * recomputed_flops_per_token(arch, row_length, remat)


def roofline(chip: Chip, chips: int, *, total_flops: float, hbm_bytes: float, sent_bytes: float) -> Roofline:
    """Of FLOPs over all chips, and bytes that each of them reads, writes and sends."""
    return Roofline(
        total_flops / (chips * chip.peak_flops), hbm_bytes / chip.hbm_bandwidth, sent_bytes / chip.link_bandwidth
    )
