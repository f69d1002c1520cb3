"""What sets relatives of Llama apart, all at once: biases, partial and stretched rotary positions, a window.

With all of them on, what holds of plain Llama holds. Each alone is held to `transformers` in test_families.py.
"""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from dsmath import sharding
from dsmath.config import Mesh, RopeScaling
from dsmath.engine.engine import Engine
from dsmath.error import UserError
from dsmath.model import decoder, layers, paged, remat, sharded, stacking, weights
from dsmath.model.fingerprint import fingerprint
from dsmath.model.paged import Spans
from dsmath.sharding import DECODING, TRAINING, make_mesh
from tests.engine.conftest import ends, request, run, tokenizer  # noqa: F401  fixtures
from tests.model.loading import MESHES
from tests.model.test_decoder import SMALL, alone, forward, packed, random_params, rows

LINEAR = RopeScaling("linear", 4.0)
LLAMA3 = RopeScaling("llama3", 8.0, 1.0, 4.0, 128)  # of eight frequencies it leaves two and divides five
GROUPED = dataclasses.replace(SMALL, num_kv_heads=2)
ALL = dataclasses.replace(GROUPED, qkv_bias=True, rope_dims=8, rope_scaling=LLAMA3, window=5)
SIZE = 4  # tokens of a page: less than the window


def rope_parameters(scaling: RopeScaling, theta: float) -> dict:
    """What config.json says of a stretch."""
    found = {"rope_type": scaling.kind, "rope_theta": theta, "factor": scaling.factor}
    if scaling.kind == "llama3":
        found |= {"low_freq_factor": scaling.low_freq_factor, "high_freq_factor": scaling.high_freq_factor}
        found |= {"original_max_position_embeddings": scaling.original_positions}
    return found


@pytest.mark.parametrize("scaling", [LINEAR, LLAMA3, RopeScaling("llama3", 32.0, 1.0, 4.0, 8192)], ids=str)
@pytest.mark.parametrize(("dims", "theta"), [(128, 500_000.0), (64, 10_000.0), (16, 10_000.0)])
def test_stretched_frequencies_equal_those_of_transformers(scaling, dims, theta):
    settings = transformers.LlamaConfig(head_dim=dims, rope_parameters=rope_parameters(scaling, theta))
    theirs, _ = ROPE_INIT_FUNCTIONS[scaling.kind](settings)
    np.testing.assert_allclose(layers.frequencies(dims, theta=theta, scaling=scaling), theirs.numpy(), rtol=1e-6)


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(RopeScaling)])
def test_every_number_of_a_stretch_is_alive(field):
    value = {"kind": "linear", "original_positions": 64}.get(field) or 1.5 * getattr(LLAMA3, field)
    other = dataclasses.replace(ALL, rope_scaling=dataclasses.replace(LLAMA3, **{field: value}))
    (tokens,) = rows(ALL, [12])
    params = random_params(ALL)
    assert np.abs(alone(params, other, tokens) - alone(params, ALL, tokens)).max() > 1e-3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rope_dims": 7}, "rope_dims of the model is 7; expected an even number up to head_dim, 16"),
        ({"rope_dims": 18}, "rope_dims of the model is 18"),
        ({"rope_scaling": RopeScaling("yarn", 2.0)}, "kind of the model is 'yarn'; expected one of: linear, llama3"),
        ({"rope_scaling": RopeScaling("linear", 0.0)}, "factor of the model is 0.0; expected more than 0"),
        ({"rope_scaling": RopeScaling("llama3", 2.0, 1.0, 4.0)}, "original_positions None; 'llama3' needs all three"),
        ({"rope_scaling": RopeScaling("llama3", 2.0, 4.0, 4.0, 32)}, "the first smaller than the second"),
    ],
    ids=str,
)
def test_positions_that_cannot_be_built_are_refused_where_weights_are_opened(changes, words):
    with pytest.raises(UserError, match=words):
        weights.arch_of(weights.RANDOM, dataclasses.replace(GROUPED, **changes))


@pytest.fixture(scope="module")
def params():
    return random_params(ALL)


@pytest.fixture(scope="module")
def sequences():
    return rows(ALL, [13, 1, 22])


def test_packed_is_separate(params, sequences):
    row = np.asarray(forward(params, *packed(sequences, 40), arch=ALL))[0, : 13 + 1 + 22]
    np.testing.assert_allclose(row, np.concatenate([alone(params, ALL, s) for s in sequences]), atol=2e-5, rtol=0)


def test_cached_is_full(params):
    """Lanes of several tokens that go on one another in a dispatch, then single ones; some windows begin on page 0."""
    sequences, starts = rows(ALL, [30, 30, 30]), np.array([2, 17, 9])
    table = np.random.default_rng(0).permutation(30).reshape(3, 10).astype(np.int32)
    unstacked, pool = decoder.unstack(params), paged.pool(paged.XLA, ALL, 30, SIZE, jnp.float32)

    @functools.partial(jax.jit, static_argnames="runs")
    def step(pool, tokens, rows, starts, runs):
        spans = Spans(jnp.asarray(table)[rows], starts, jnp.ones(len(rows), bool), runs)
        return decoder.extend(unstacked, tokens, spans, pool, arch=ALL, paged=paged.XLA)

    for row, (sequence, start) in enumerate(zip(sequences, starts, strict=True)):  # a lane of 20, the rest is padding
        lane = np.pad(sequence[:start], (0, 20 - start))
        _, pool = step(pool, lane, np.array([row]), np.array([0]), ((1, 20),))
    got = {row: [] for row in range(3)}
    lanes, more = np.array([0, 0, 1, 1]), np.array([0, 3, 0, 3])  # and a token of the third sequence beside them
    at = starts[lanes] + more
    tokens = np.concatenate([sequences[2][9:10], *(sequences[r][n : n + 3] for r, n in zip(lanes, at, strict=True))])
    hidden, pool = step(pool, tokens, np.append(2, lanes), np.append(9, at), ((1, 1), (4, 3)))
    got[2].append(hidden[:1])
    for i, row in enumerate(lanes):
        got[row].append(hidden[1 + 3 * i : 4 + 3 * i])
    lengths = starts + np.array([6, 6, 1])
    for _ in range(3):
        tokens = np.array([s[n] for s, n in zip(sequences, lengths, strict=True)])
        hidden, pool = step(pool, tokens, np.arange(3), lengths, ((3, 1),))
        for row in range(3):
            got[row].append(hidden[row : row + 1])
        lengths = lengths + 1
    for row, parts in got.items():
        ours = np.asarray(decoder.logits(params, jnp.concatenate(parts)))
        full = alone(params, ALL, sequences[row])[starts[row] : lengths[row]]
        np.testing.assert_allclose(ours, full, atol=2e-5, rtol=0)


@pytest.mark.parametrize("mesh", [Mesh(2, 2, 2), Mesh(1, 2, 1, context=4), Mesh(1, 2, 2, context=2)], ids=str)
def test_sharded_is_single(params, mesh):
    """In values and gradients, over cut rows as well."""
    made = [packed(rows(ALL, lengths, seed), 256) for seed, lengths in enumerate([[200, 50], [9, 1, 240], [256], [3]])]
    batch = [np.concatenate(x) for x in zip(*made, strict=True)]

    def loss(params, tokens, positions, segments):
        real = (segments > 0)[..., None]
        hidden = decoder.hidden(params, tokens, positions, segments, arch=ALL_LONG, keep=remat.find("attention"))
        return jnp.sum(jnp.where(real, jnp.sin(hidden), 0)) / 256

    gradient = jax.jit(jax.value_and_grad(loss))
    single = jax.device_get(gradient(params, *batch))
    mesh = make_mesh(mesh)
    split = jax.sharding.NamedSharding(mesh, sharding.spec(("batch", "length"), TRAINING))
    with jax.set_mesh(mesh):
        placed = sharding.place(params, decoder.axes(ALL_LONG), mesh, TRAINING)
        many = jax.device_get(gradient(placed, *(jax.device_put(x, split) for x in batch)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), many, single)


ALL_LONG = dataclasses.replace(ALL, max_positions=256, window=100)


def test_unstacked_is_stacked(params, sequences):
    """Also on a mesh, where heads are split."""
    (tokens,) = rows(ALL, [20])
    spans = Spans(jnp.arange(5)[None], jnp.zeros(1, jnp.int32), jnp.ones(1, bool), ((1, 20),))

    def step(params, pool):
        hidden, _ = decoder.extend(params, tokens, spans, pool, arch=ALL, paged=paged.XLA)
        return decoder.logits(params, hidden)

    unstacked, pool = decoder.unstack(params), paged.pool(paged.XLA, ALL, 5, SIZE, jnp.float32)
    expected = alone(params, ALL, tokens)
    np.testing.assert_allclose(jax.jit(step)(unstacked, pool), expected, atol=2e-5, rtol=0)
    mesh = make_mesh(Mesh(1, 1, 2), jax.devices())
    with jax.set_mesh(mesh):
        placed = sharding.place(unstacked, decoder.unstacked_axes(ALL), mesh, DECODING)
        pool = sharding.place(pool, paged.axes(paged.XLA, ALL), mesh, DECODING)
        np.testing.assert_allclose(jax.jit(step)(placed, pool), expected, atol=2e-5, rtol=0)
    bias = placed["layers"][0]["q_bias"]
    assert bias.sharding.shard_shape(bias.shape) == (ALL.num_heads * ALL.head_dim // 2,)


def test_the_engine_writes_what_full_passes_say(tokenizer, ends):  # noqa: F811
    """Continuous batching on pages of a few tokens, several of which lie before a window."""
    arch = dataclasses.replace(ALL, rope_scaling=LINEAR, window=9)
    params = random_params(arch)
    engine = Engine(
        decoder.unstack(params),
        arch,
        tokenizer,
        end_tokens=ends,
        slots=3,
        cache_length=64,
        decode_steps=4,
        page_tokens=8,
    )
    prompts = rows(arch, [5, 30, 17, 41])
    done = run(engine, [request(f"r{i}", prompt.tolist(), max_new=12) for i, prompt in enumerate(prompts)])
    for i, prompt in enumerate(prompts):
        ids = [*prompt.tolist(), *done[f"r{i}"].ids]
        best = alone(params, arch, np.pad(ids, (0, 64 - len(ids)))).argmax(-1)
        assert ids[len(prompt) :] == best[len(prompt) - 1 : len(ids) - 1].tolist()


class InMemory:
    """A tensor of a file, with the axes of a file."""

    def __init__(self, array: np.ndarray):
        self.shape, self.dtype, self.read = array.shape, array.dtype, array.__getitem__


@pytest.fixture
def opened(params, tmp_path):
    tensors = {place: InMemory(make()) for place, _, make in stacking.pieces(ALL, params)}
    return stacking.Weights(ALL, tmp_path, lambda place: (str(place), tensors[place])), tensors


def test_files_have_biases_with_heads_merged_behind_their_matrices(opened):
    _, tensors = opened
    assert tensors["layers", 1, "q_bias"].shape == (ALL.num_heads * ALL.head_dim,)
    assert tensors["layers", 1, "k_bias"].shape == (ALL.num_kv_heads * ALL.head_dim,)
    names = [name for place, name in ((place, place[-1]) for place in tensors) if place[:2] == ("layers", 0)]
    assert names[:6] == ["q", "q_bias", "k", "k_bias", "v", "v_bias"]


@pytest.mark.parametrize("shape", [shape for shape in MESHES if shape[2] <= ALL.num_kv_heads], ids=str)
def test_what_is_placed_from_files_is_the_same_on_any_mesh(opened, params, shape):
    shardings = sharding.shardings(decoder.axes(ALL), make_mesh(Mesh(*shape)), TRAINING)
    placed = stacking.place(opened[0], shardings, jnp.float32)
    assert fingerprint(placed) == fingerprint(params)
    jax.tree.map(np.testing.assert_array_equal, placed, params)


def test_a_bias_of_another_size_is_refused_by_name(opened):
    found, tensors = opened
    tensors["layers", 2, "v_bias"] = InMemory(np.zeros(3, np.float32))
    with pytest.raises(UserError, match=r"'v_bias'\) is \[3\] but the architecture beside it makes it \[32\]"):
        found.check()


def test_sharded_weights_come_back(opened, params, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({}))
    sharded.write(tmp_path / "out", opened[0])
    shardings = sharding.shardings(decoder.axes(ALL), make_mesh(Mesh(1, 4, 2)), TRAINING)
    jax.tree.map(np.testing.assert_array_equal, sharded.restore(tmp_path / "out", ALL, shardings, jnp.float32), params)


def test_a_fingerprint_changes_with_a_bias(params):
    other = params | {"layers": params["layers"] | {"k_bias": params["layers"]["k_bias"].at[1, 0, 3].add(1e-3)}}
    assert fingerprint(other) != fingerprint(params)


def test_parameters_are_counted():
    D, F, V, L, N, K, H = 64, 172, 320, 3, 4, 2, 16
    matrices = (N + 2 * K) * H * D + D * N * H + 3 * D * F
    assert decoder.parameters(GROUPED) == 2 * V * D + D + L * (matrices + 2 * D)
    assert decoder.parameters(ALL) - decoder.parameters(GROUPED) == L * (N + 2 * K) * H
    assert decoder.parameters(dataclasses.replace(GROUPED, tie_embeddings=True)) == decoder.parameters(GROUPED) - V * D
