"""AdamW at a constant rate, as in the paper, with global-norm clipping and an optional linear warm-up."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dsmath.config import Arch, Train
from dsmath.error import UserError
from dsmath.model import decoder

MOMENTS_DTYPES = ("float32", "bfloat16")


def schedule(train: Train) -> optax.Schedule:
    """The learning rate by step (from 0): constant, after `warmup_steps` steps that climb to it linearly.

    A jax array gives a jax array; a numpy integer is computed on the host.
    """

    def rate(step: jax.Array | np.integer) -> jax.Array | np.floating:
        return train.learning_rate * ((step + 1) / (train.warmup_steps + 1)).clip(max=1.0)

    return rate


def make(train: Train, arch: Arch) -> optax.GradientTransformation:
    """Clip by global norm, then AdamW (arXiv 1711.05101), whose moments lie in memory as `moments_dtype`.

    Weight decay falls on matrices only, not on the scales of norms or on biases; the paper does not say. Raises
    UserError for any type of moments but float32 and bfloat16.
    """
    if train.moments_dtype not in MOMENTS_DTYPES:
        raise UserError(
            f"config.train.moments_dtype is {train.moments_dtype!r}; expected one of: {', '.join(MOMENTS_DTYPES)}"
        )
    decayed = jax.tree_util.tree_map_with_path(
        lambda path, axes: "norm" not in axes and path[-1].key not in decoder.BIASES,
        decoder.axes(arch),
        is_leaf=lambda x: isinstance(x, tuple),
    )
    adamw = optax.adamw(schedule(train), b1=train.beta1, b2=train.beta2, weight_decay=train.weight_decay, mask=decayed)
    return optax.chain(optax.clip_by_global_norm(train.clip_norm), _stored(adamw, jnp.dtype(train.moments_dtype)))


def _stored(inner: optax.GradientTransformation, dtype: jnp.dtype) -> optax.GradientTransformation:
    """The same updates, computed in f32, with the state's floats kept as `dtype` between steps."""

    def cast(state: optax.OptState, to: jnp.dtype) -> optax.OptState:
        return jax.tree.map(lambda x: x.astype(to) if jnp.issubdtype(x.dtype, jnp.floating) else x, state)

    def update(updates, state, params):
        updates, state = inner.update(updates, cast(state, jnp.dtype(jnp.float32)), params)
        return updates, cast(state, dtype)

    return optax.GradientTransformation(lambda params: cast(inner.init(params), dtype), update)


def shardings(optimizer: optax.GradientTransformation, params: Any, params_shardings: Any, default: Any) -> Any:
    """A tree of shardings for the optimizer's state: moments like their parameters, the rest (counts) `default`."""
    return optax.tree_utils.tree_map_params(
        optimizer,
        lambda _, sharding: sharding,
        jax.eval_shape(optimizer.init, params),
        params_shardings,
        transform_non_params=lambda _: default,
    )
