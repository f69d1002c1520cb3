"""Rematerialisation: what of a layer's forward pass is kept for the backward pass, by name.

What isn't kept is computed again. From least memory to most, for a layer and T tokens of width D in a type of b bytes:

    offload    nothing on the device: the layer's input, T D b, waits in the host's memory (accelerators)
    full       the layer's input: T D b
    attention  and what attention put out, so that it is not computed twice: 2 T D b and a little
    dots       and every product with a weight: about T (6 D + 3 F) b, with F the width of the feed-forward layer

docs/scaling.md has what the 7B takes under each.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax import checkpoint_policies as saved
from jax.ad_checkpoint import checkpoint_name

from dsmath.error import UserError

# Names that values of a layer go by (`jax.ad_checkpoint.checkpoint_name`).
INPUT = "layer_input"
ATTENTION = "attention"

Policy = Callable[..., Any] | None  # as `jax.checkpoint` takes it

POLICIES: Mapping[str, Policy] = {
    "offload": saved.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=[INPUT],
        offload_src="device",
        offload_dst="pinned_host",
    ),
    "full": None,
    "attention": saved.save_only_these_names(ATTENTION),
    "dots": saved.save_from_both_policies(
        saved.dots_with_no_batch_dims_saveable, saved.save_only_these_names(ATTENTION)
    ),
}


def find(name: str) -> Policy:
    """The policy of this name. Raises UserError if there is none."""
    if name not in POLICIES:
        raise UserError(f"config.train.remat is {name!r}; expected one of: {', '.join(POLICIES)}")
    return POLICIES[name]


def named(x: jax.Array, name: str) -> jax.Array:
    """The value, under a name that a policy can choose it by."""
    return checkpoint_name(x, name)
