"""The decoder: parameters as a plain tree, and pure functions over it.

Weights are stored as HF stores them, output axes first. For training the layers are stacked on a leading axis L and
scanned; for decoding `unstack` makes them a tuple, so that no step copies a weight out of a stack. `Block` is the one
layer body of both.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model import kernels, layers, remat
from dsmath.model.paged import Paged, Pool, Spans
from dsmath.sharding import DECODING, TRAINING, Axes, Rules, constrain, gathered

Params = dict[str, Any]
Attend = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, Any]]

INIT_STD = 0.02  # Llama and DeepSeek LLM (arXiv 2401.02954, section 2.2 uses 0.006 for its own pre-training)

BIASES = ("q_bias", "k_bias", "v_bias")  # of a layer, by heads, where the architecture has them


class Block(nnx.Module):
    """One layer: attention and feed-forward, each behind a norm and added to the stream."""

    def __init__(self, arch: Arch, *, rngs: nnx.Rngs):
        D, F, N, K, H = arch.hidden_size, arch.intermediate_size, arch.num_heads, arch.num_kv_heads, arch.head_dim
        self.attn_norm = _filled(1.0, (D,), ("norm",))
        self.q = _weight(rngs, (N, H, D), ("heads", "head", "embed"))
        self.k = _weight(rngs, (K, H, D), ("kv_heads", "head", "embed"))
        self.v = _weight(rngs, (K, H, D), ("kv_heads", "head", "embed"))
        if arch.qkv_bias:
            self.q_bias = _filled(0.0, (N, H), ("heads", "head"))
            self.k_bias = _filled(0.0, (K, H), ("kv_heads", "head"))
            self.v_bias = _filled(0.0, (K, H), ("kv_heads", "head"))
        self.o = _weight(rngs, (D, N, H), ("embed", "heads", "head"))
        self.mlp_norm = _filled(1.0, (D,), ("norm",))
        self.gate = _weight(rngs, (F, D), ("hidden", "embed"))
        self.up = _weight(rngs, (F, D), ("hidden", "embed"))
        self.down = _weight(rngs, (D, F), ("embed", "hidden"))
        self.arch = arch

    def __call__(
        self, x_BTD: jax.Array, positions_BT: jax.Array, attend: Attend, rules: Rules
    ) -> tuple[jax.Array, Any]:
        """The stream after this layer, and what `attend` wants kept (the pages' new content, or None)."""
        arch = self.arch
        q_bias, k_bias, v_bias = (getattr(self, name)[...] if arch.qkv_bias else None for name in BIASES)
        h_BTD = layers.rms_norm(x_BTD, self.attn_norm[...], eps=arch.norm_eps)
        q_BTNH = _turned(arch, _project(h_BTD, self.q[...], q_bias), positions_BT)
        k_BTKH = _turned(arch, _project(h_BTD, self.k[...], k_bias), positions_BT)
        v_BTKH = _project(h_BTD, self.v[...], v_bias)
        q_BTNH = constrain(q_BTNH, ("batch", "length", "heads", "head"), rules)
        o_BTNH, kept = attend(q_BTNH, k_BTKH, v_BTKH)
        B, T, D = x_BTD.shape
        x_BTD = x_BTD + _project(o_BTNH.reshape(B, T, -1), self.o[...].reshape(D, -1))
        h_BTD = layers.rms_norm(x_BTD, self.mlp_norm[...], eps=arch.norm_eps)
        x_BTD = x_BTD + layers.swiglu(h_BTD, self.gate[...], self.up[...], self.down[...])
        return constrain(x_BTD, ("batch", "length", None), rules), kept


class Ends(nnx.Module):
    """What stands before and after the layers: embedding, last norm, and the output head unless it is tied."""

    def __init__(self, arch: Arch, *, rngs: nnx.Rngs):
        V, D = arch.vocab_size, arch.hidden_size
        self.embed = _weight(rngs, (V, D), ("vocab", "embed"))
        self.norm = _filled(1.0, (D,), ("norm",))
        if not arch.tie_embeddings:
            self.head = _weight(rngs, (V, D), ("classes", None))


def init(arch: Arch, key: jax.Array) -> Params:
    """Random f32 parameters, layers stacked: {"embed": [V, D], "layers": {"q": [L, N, H, D], ...}, "norm": [D]}.

    Biases are 0. Raises UserError as `check`.
    """
    check(arch)
    ends_key, layers_key = jax.random.split(key)
    block = jax.vmap(lambda k: _pure(Block(arch, rngs=nnx.Rngs(k))))
    return _pure(Ends(arch, rngs=nnx.Rngs(ends_key))) | {"layers": block(jax.random.split(layers_key, arch.num_layers))}


def abstract(arch: Arch) -> Params:
    """Shapes and types of `init`."""
    return jax.eval_shape(lambda: init(arch, jax.random.key(0)))


def parameters(arch: Arch) -> int:
    """How many numbers a model has."""
    return sum(math.prod(x.shape) for x in jax.tree.leaves(abstract(arch)))


def check(arch: Arch) -> Arch:
    """The architecture. Raises UserError for rotary positions that can't be built."""
    dims, scaling = arch.rope_dims or arch.head_dim, arch.rope_scaling
    if dims % 2 or dims > arch.head_dim:
        raise UserError(f"rope_dims of the model is {dims}; expected an even number up to head_dim, {arch.head_dim}")
    if scaling is None:
        return arch
    if scaling.kind not in layers.SCALINGS:
        raise UserError(
            f"rope_scaling.kind of the model is {scaling.kind!r}; expected one of: {', '.join(layers.SCALINGS)}"
        )
    if scaling.factor <= 0:
        raise UserError(f"rope_scaling.factor of the model is {scaling.factor}; expected more than 0")
    if scaling.kind == "llama3":
        low, high, positions = scaling.low_freq_factor, scaling.high_freq_factor, scaling.original_positions
        if low is None or high is None or positions is None or not 0 < low < high:
            raise UserError(
                f"rope_scaling of the model has low_freq_factor {low}, high_freq_factor {high}, original_positions "
                f"{positions}; 'llama3' needs all three, the first smaller than the second"
            )
    return arch


def axes(arch: Arch) -> Params:
    """Axis names of every parameter, in the tree of `init`."""
    return _axes(functools.partial(Ends, arch), ()) | {"layers": _axes(functools.partial(Block, arch), ("layers",))}


def hidden(
    params: Params,
    tokens_BT: jax.Array,
    positions_BT: jax.Array,
    segments_BT: jax.Array,
    *,
    arch: Arch,
    keep: remat.Policy,
    packed_attention: kernels.PackedAttention = kernels.xla,
) -> jax.Array:
    """Last hidden states [B, T, D] of packed rows. Segments (from 1; 0 is padding) don't see each other.

    `keep` says what of a layer the backward pass finds, beside its input; the rest is computed again.
    """
    rules = TRAINING
    axes_of = axes(arch)["layers"]
    seen = functools.partial(packed_attention, window=arch.window)

    def attend(q_BTNH, k_BTKH, v_BTKH):
        return remat.named(seen(q_BTNH, k_BTKH, v_BTKH, segments_BT), remat.ATTENTION), None

    def layer(x_BTD, weights):
        x_BTD = remat.named(x_BTD, remat.INPUT)
        whole = {name: gathered(weight, axes_of[name][1:], rules) for name, weight in weights.items()}
        return _block(arch, whole)(x_BTD, positions_BT, attend, rules)

    x_BTD = constrain(params["embed"][tokens_BT], ("batch", "length", None), rules)
    x_BTD, _ = jax.lax.scan(jax.checkpoint(layer, prevent_cse=False, policy=keep), x_BTD, params["layers"])
    return layers.rms_norm(x_BTD, params["norm"], eps=arch.norm_eps)


def logits(params: Params, hidden: jax.Array) -> jax.Array:
    """Next-token logits [..., V] in f32 of last hidden states [..., D]. A tied head is the embedding."""
    head_VD = params.get("head", params["embed"])
    return jnp.einsum("...d,vd->...v", hidden, head_VD, preferred_element_type=jnp.float32)


def extend(
    params: Params,
    tokens_T: jax.Array,
    spans: Spans,
    pool: Pool,
    *,
    arch: Arch,
    paged: Paged,
    rules: Rules = DECODING,
) -> tuple[jax.Array, Pool]:
    """Append stretches of tokens to their sequences -> last hidden states [T, D] and the pool with them.

    `params` are unstacked. Several stretches may go on one another in the same sequence, as every layer writes all its
    keys and values before it reads any. Padding goes at the end of a stretch: what it writes lies behind the sequence's
    length, is seen by no real token and is overwritten later.
    """
    places, positions_1T = spans.places(paged.size(pool[0])), spans.positions_T[None]
    x_1TD = params["embed"][tokens_T][None]
    kept = []
    for weights, past in zip(params["layers"], pool, strict=True):

        def attend(q_1TNH, k_1TKH, v_1TKH, past=past):
            present = paged.write(past, k_1TKH[0], v_1TKH[0], places)
            return paged.attend(q_1TNH[0], present, spans, arch.window)[None], present

        x_1TD, layer = _block(arch, _turn_back(arch, weights))(x_1TD, positions_1T, attend, rules)
        kept.append(layer)
    return layers.rms_norm(x_1TD, params["norm"], eps=arch.norm_eps)[0], tuple(kept)


def unstack(params: Params) -> Params:
    """Parameters for `extend`: layers as a tuple, every matrix two-dimensional with its input axis first, biases flat.

    On CPU, XLA then needn't transpose weights on the way to a product of few rows.
    """
    names, stacks = zip(*params["layers"].items(), strict=True)
    layers = (dict(zip(names, layer, strict=True)) for layer in zip(*stacks, strict=True))
    return params | {"layers": tuple({name: _turn(name, w) for name, w in layer.items()} for layer in layers)}


def unstacked_axes(arch: Arch) -> Params:
    """Axis names of every parameter, in the tree of `unstack`. A merged axis goes by the name of its heads."""
    names = axes(arch)
    layer = {name: tuple(n for n in rest if n != "head")[::-1] for name, (_, *rest) in names["layers"].items()}
    return names | {"layers": (layer,) * arch.num_layers}


def cast(params: Params, dtype: jax.typing.DTypeLike) -> Params:
    """Parameters in another float type; the functions above compute in the type of their parameters."""
    return jax.tree.map(lambda x: x.astype(dtype), params)


def _turn(name: str, weight: jax.Array) -> jax.Array:
    """[in, out] from a matrix whose output axes come first; vectors stay, with the heads of a bias merged."""
    if weight.ndim == 1 or name in BIASES:
        return weight.reshape(-1)
    matrix = weight.reshape(weight.shape[0], -1) if name == "o" else weight.reshape(-1, weight.shape[-1])
    return matrix.T


def _turn_back(arch: Arch, weights: Params) -> Params:
    return {name: weights[name].T.reshape(shape) for name, shape in _block_shapes(arch).items()}


def _project(x_BTD: jax.Array, weight: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """[B, T, ...] from a weight [..., D]. One product of matrices: with more axes, XLA transposes the weight first."""
    y_BTF = jnp.einsum("btd,fd->btf", x_BTD, weight.reshape(-1, weight.shape[-1]))
    y = y_BTF.reshape(*x_BTD.shape[:2], *weight.shape[:-1])
    return y if bias is None else y + bias


def _turned(arch: Arch, x_BTNH: jax.Array, positions_BT: jax.Array) -> jax.Array:
    dims = arch.rope_dims or arch.head_dim
    frequency = layers.frequencies(dims, theta=arch.rope_theta, scaling=arch.rope_scaling)
    return layers.rope(x_BTNH, positions_BT, frequency=frequency)


def _block(arch: Arch, weights: Params) -> Block:
    return nnx.merge(_block_graph(arch), weights)


@functools.lru_cache
def _block_graph(arch: Arch) -> nnx.GraphDef:
    return nnx.split(nnx.eval_shape(lambda: Block(arch, rngs=nnx.Rngs(0))))[0]


@functools.lru_cache
def _block_shapes(arch: Arch) -> dict[str, tuple[int, ...]]:
    return {name: x.shape for name, x in _pure(nnx.eval_shape(lambda: Block(arch, rngs=nnx.Rngs(0)))).items()}


def _pure(module: nnx.Module) -> Params:
    return nnx.to_pure_dict(nnx.state(module))


def _axes(make: Callable[..., nnx.Module], lead: Axes) -> Params:
    module = nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0)))
    return {name: (*lead, *p.get_metadata()["axes"]) for name, p in vars(module).items() if isinstance(p, nnx.Param)}


def _weight(rngs: nnx.Rngs, shape: tuple[int, ...], axes: Axes) -> nnx.Param:
    return nnx.Param(INIT_STD * jax.random.normal(rngs.params(), shape, jnp.float32), axes=axes)


def _filled(value: float, shape: tuple[int, ...], axes: Axes) -> nnx.Param:
    return nnx.Param(jnp.full(shape, value, jnp.float32), axes=axes)
