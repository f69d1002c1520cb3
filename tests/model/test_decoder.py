"""The decoder equals Hugging Face's, packed equals separate, cached equals full, every number lives."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from dsmath.config import Arch, RopeScaling
from dsmath.model import decoder, paged, remat, smollm2, weights
from dsmath.model import folder as folders
from dsmath.model.paged import Spans
from dsmath.records import Source
from dsmath.text import template, tokenizer
from dsmath.text.codec import TokenCodec
from tests.model.loading import load

# The proportions of DeepSeekMath 7B: as many key/value heads as heads, untied, theta 1e4, eps 1e-6.
SMALL = Arch(
    vocab_size=320,
    hidden_size=64,
    intermediate_size=172,
    num_layers=3,
    num_heads=4,
    num_kv_heads=4,
    head_dim=16,
    rope_theta=10_000.0,
    norm_eps=1e-6,
    tie_embeddings=False,
    max_positions=128,
)
GROUPED = dataclasses.replace(SMALL, num_kv_heads=2, tie_embeddings=True, rope_theta=100_000.0)


@functools.partial(jax.jit, static_argnums=0)
def random_params(arch: Arch):
    """Parameters far from the initialisation's symmetry: norms away from 1, weights large enough to matter."""
    keys = iter(jax.random.split(jax.random.key(1), 20))
    return jax.tree.map(
        lambda x: x + 0.1 * jax.random.normal(next(keys), x.shape), decoder.init(arch, jax.random.key(0))
    )


@functools.partial(jax.jit, static_argnames=("arch", "keep"))
def forward(params, tokens, positions, segments, *, arch, keep=None):
    hidden = decoder.hidden(params, tokens, positions, segments, arch=arch, keep=keep)
    return decoder.logits(params, hidden)


def alone(params, arch, tokens):
    """Logits [T, V] of one sequence."""
    tokens = np.asarray(tokens)[None]
    positions = np.arange(tokens.shape[1])[None]
    return np.asarray(forward(params, tokens, positions, np.ones_like(tokens), arch=arch))[0]


def peer(folder) -> transformers.LlamaForCausalLM:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def rows(arch, lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, arch.vocab_size, n) for n in lengths]


def packed(sequences, length):
    """One row [1, length] of tokens, positions and segments."""
    tokens, positions, segments = (np.zeros((1, length), np.int32) for _ in range(3))
    start = 0
    for i, sequence in enumerate(sequences, 1):
        part = np.s_[0, start : start + len(sequence)]
        tokens[part], positions[part], segments[part] = sequence, np.arange(len(sequence)), i
        start += len(sequence)
    return tokens, positions, segments


def padded(sequences):
    """A batch [B, longest], padded at the end, with segments 1 and 0."""
    longest = max(map(len, sequences))
    tokens = np.stack([np.pad(s, (0, longest - len(s))) for s in sequences])
    segments = np.stack([np.arange(longest) < len(s) for s in sequences]).astype(np.int32)
    return tokens, np.broadcast_to(np.arange(longest), tokens.shape), segments


@pytest.fixture(scope="module", params=[SMALL, GROUPED], ids=["7b_shaped", "grouped_tied"])
def small(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hf")
    params = random_params(request.param)
    folders.save(folder, params, request.param, bos=0, eos=1, dtype="float32")
    return request.param, params, peer(folder)


@pytest.fixture(scope="module")
def smol():
    return load(weights.SMOLLM2)


def tokens_of(question):
    """The prompt of a question in SmolLM2's own tokens."""
    prompt = template.find("chatml").prompt(question, lang="en", mode="cot")
    return TokenCodec(tokenizer.from_gguf(smollm2.fetch())).encode(Source.PROMPT, prompt).ids


def test_logits_equal_transformers(small):
    arch, params, model = small
    (tokens,) = rows(arch, [50])
    with torch.no_grad():
        expected = model(torch.tensor(tokens)[None]).logits[0].numpy()
    np.testing.assert_allclose(alone(params, arch, tokens), expected, atol=1e-4, rtol=0)


def test_padded_batches_equal_transformers(small):
    arch, params, model = small
    sequences = rows(arch, [31, 7, 18])
    tokens, positions, segments = padded(sequences)
    with torch.no_grad():
        expected = model(torch.tensor(tokens), attention_mask=torch.tensor(segments)).logits.numpy()
    ours = np.asarray(forward(params, tokens, positions, segments, arch=arch))
    real = segments > 0
    np.testing.assert_allclose(ours[real], expected[real], atol=1e-4, rtol=0)


def test_packed_rows_equal_transformers_on_each_alone(small):
    arch, params, model = small
    sequences = rows(arch, [13, 1, 22])
    ours = np.asarray(forward(params, *packed(sequences, 40), arch=arch))[0]
    with torch.no_grad():
        expected = [model(torch.tensor(s)[None]).logits[0].numpy() for s in sequences]
    np.testing.assert_allclose(ours[: 13 + 1 + 22], np.concatenate(expected), atol=1e-4, rtol=0)


def test_smollm2_equals_transformers_on_the_real_weights(smol):
    """`transformers` reads the GGUF by itself: this checks our reading of it, too.

    At a sequence's first token SmolLM2's residual stream is so large that rounding to f32 alone moves logits, of up to
    37 there, by 1e-4: in `transformers`, against its own f64 run, as much as in ours. Hence a relative part.
    """
    arch, params = smol
    path = smollm2.fetch()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    sequences = [np.array(tokens_of(question)) for question in ("What is 12 * 34?", "Tom has 3 apples and eats one.")]
    width = sum(map(len, sequences))
    tokens, positions, segments = padded(sequences)
    tokens, positions, segments = (np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in (tokens, positions, segments))
    with torch.no_grad():
        expected = model(torch.tensor(tokens), attention_mask=torch.tensor(segments)).logits.numpy()
    real = segments > 0
    ours = np.asarray(forward(params, tokens, positions, segments, arch=arch))
    np.testing.assert_allclose(ours[real], expected[real], atol=1e-4, rtol=1e-5)
    both = (np.pad(x, ((0, 1), (0, 0))) for x in packed(sequences, width))  # and an empty row: the same shape
    row = np.asarray(forward(params, *both, arch=arch))[0]
    np.testing.assert_allclose(row, ours[real], atol=1e-4, rtol=1e-5)


def test_cached_equals_full(small):
    """Prefill, extension by several tokens and decoding by one, at another length in every sequence, all on pages."""
    arch, params, _ = small
    sequences = rows(arch, [20, 20, 20])
    starts = np.array([5, 11, 8])
    unstacked, pool = decoder.unstack(params), paged.pool(paged.XLA, arch, 9, 8, jnp.float32)
    table = jnp.array([[7, 0, 5], [2, 8, 1], [3, 6, 4]], jnp.int32)

    @functools.partial(jax.jit, static_argnames="width")
    def step(pool, tokens, starts, width):
        spans = Spans(table, jnp.asarray(starts), jnp.ones(3, bool), ((3, width),))
        return decoder.extend(unstacked, tokens.reshape(-1), spans, pool, arch=arch, paged=paged.XLA)

    prompts = np.stack([np.pad(s[:n], (0, 11 - n)) for s, n in zip(sequences, starts, strict=True)])
    _, pool = step(pool, prompts, np.zeros(3, int), 11)
    got, lengths = [], starts
    for width in (4, 1, 1):
        tokens = np.stack([s[n : n + width] for s, n in zip(sequences, lengths, strict=True)])
        hidden, pool = step(pool, tokens, lengths, width)
        got.append(np.asarray(decoder.logits(params, hidden)).reshape(3, width, -1))
        lengths = lengths + width
    got = np.concatenate(got, axis=1)
    for row, sequence, start in zip(got, sequences, starts, strict=True):
        full = alone(params, arch, sequence)
        np.testing.assert_allclose(row, full[start : start + 6], atol=2e-5, rtol=0)


def test_what_is_kept_for_the_backward_pass_changes_no_gradient():
    arch, params = SMALL, random_params(SMALL)
    tokens, positions, segments = packed(rows(arch, [13, 19]), 32)

    def loss(params, keep):
        return jnp.mean(forward(params, tokens, positions, segments, arch=arch, keep=keep) ** 2)

    everything = jax.grad(loss)(params, jax.checkpoint_policies.everything_saveable)
    for name in remat.POLICIES:
        grads = jax.grad(loss)(params, remat.find(name))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), grads, everything)


def test_axes_name_every_axis_of_every_parameter():
    for arch in (SMALL, GROUPED):
        names = decoder.axes(arch)
        shapes = jax.eval_shape(lambda arch=arch: decoder.init(arch, jax.random.key(0)))
        jax.tree.map(lambda n, x: len(n) == x.ndim or pytest.fail(f"{n} for {x.shape}"), names, shapes,
                     is_leaf=lambda n: isinstance(n, tuple))  # fmt: skip


def without(name: str):
    return lambda params: {key: value for key, value in params.items() if key != name}


def first_layers(params):
    return params | {"layers": {name: stack[:2] for name, stack in params["layers"].items()}}


def first_heads(params):
    return params | {"layers": params["layers"] | {name: params["layers"][name][:, :2] for name in ("k", "v")}}


def with_biases(params):
    """Those of queries turn scores, those of values go straight through; what is added to all keys changes none."""
    biases = {name: jnp.full(params["layers"][name[0]].shape[:3], 0.1) for name in decoder.BIASES}
    return params | {"layers": params["layers"] | biases}


# Another value, and what becomes of the same weights; sizes that no weights are left for change their shapes instead.
NUDGES = {
    "rope_theta": (5_000.0, lambda params: params),
    "norm_eps": (1e-2, lambda params: params),
    "tie_embeddings": (True, without("head")),
    "num_layers": (2, first_layers),
    "num_kv_heads": (2, first_heads),
    "qkv_bias": (True, with_biases),
    "rope_dims": (8, lambda params: params),
    "rope_scaling": (RopeScaling("linear", 2.0), lambda params: params),
    "window": (4, lambda params: params),
    **{size: (2, None) for size in ("vocab_size", "hidden_size", "intermediate_size", "head_dim", "num_heads")},
}


# The number of positions is a limit: tests/test_config_alive.py moves it, with all that isn't the architecture's.
@pytest.mark.parametrize("field", sorted({field.name for field in dataclasses.fields(Arch)} - {"max_positions"}))
def test_every_number_of_the_architecture_is_alive(field):
    """By the logits of the same weights where it can, else by the parameters' shapes."""
    value, change = NUDGES[field]
    if change is None:
        nudged = dataclasses.replace(SMALL, **{field: value * getattr(SMALL, field)})
        shapes = [
            jax.tree.map(lambda x: x.shape, jax.eval_shape(lambda a=a: decoder.init(a, jax.random.key(0))))
            for a in (SMALL, nudged)
        ]
        assert shapes[0] != shapes[1]
        return
    nudged, params = dataclasses.replace(SMALL, **{field: value}), random_params(SMALL)
    (tokens,) = rows(SMALL, [12])
    assert np.abs(alone(change(params), nudged, tokens) - alone(params, SMALL, tokens)).max() > 1e-3
