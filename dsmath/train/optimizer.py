"""AdamW at a constant rate, as in the paper, with global-norm clipping and an optional linear warm-up."""

from typing import Any

import jax
import numpy as np
import optax

from dsmath.config import Arch, Train
from dsmath.model import decoder


def schedule(train: Train) -> optax.Schedule:
    """The learning rate by step (from 0): constant, after `warmup_steps` steps that climb to it linearly.

    A jax array gives a jax array; a numpy integer is computed on the host.
    """

    def rate(step: jax.Array | np.integer) -> jax.Array | np.floating:
        return train.learning_rate * ((step + 1) / (train.warmup_steps + 1)).clip(max=1.0)

    return rate


def make(train: Train, arch: Arch) -> optax.GradientTransformation:
    """Clip by global norm, then AdamW (arXiv 1711.05101).

    Weight decay falls on matrices only, not on the scales of norms; the paper does not say.
    """
    decayed = jax.tree.map(lambda axes: "norm" not in axes, decoder.axes(arch), is_leaf=lambda x: isinstance(x, tuple))
    return optax.chain(
        optax.clip_by_global_norm(train.clip_norm),
        optax.adamw(schedule(train), b1=train.beta1, b2=train.beta2, weight_decay=train.weight_decay, mask=decayed),
    )


def shardings(optimizer: optax.GradientTransformation, params: Any, params_shardings: Any, default: Any) -> Any:
    """A tree of shardings for the optimizer's state: moments like their parameters, the rest (counts) `default`."""
    return optax.tree_utils.tree_map_params(
        optimizer,
        lambda _, sharding: sharding,
        jax.eval_shape(optimizer.init, params),
        params_shardings,
        transform_non_params=lambda _: default,
    )
