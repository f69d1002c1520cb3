"""Every family of layouts: our decoder on a checkpoint as released equals `transformers`, and writes it as it was."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from dsmath.config import Arch, RopeScaling
from dsmath.engine.engine import Engine
from dsmath.error import UserError
from dsmath.model import decoder, paged, sharded, stacking
from dsmath.model import folder as folders
from dsmath.model.paged import Spans
from dsmath.text import tokenizer
from tests.engine.conftest import request as generation
from tests.engine.conftest import run
from tests.model import released
from tests.model.loading import load
from tests.model.test_decoder import SMALL, alone, forward, packed, padded, rows

CLOSE = {"atol": 1e-4, "rtol": 0}


@pytest.fixture(scope="module", params=sorted(released.CASES))
def case(request, tmp_path_factory):
    """A checkpoint in f32: its architecture and parameters as we read them, and its peer."""
    folder = tmp_path_factory.mktemp(request.param)
    peer = released.write(request.param, folder)
    arch, params = load(folder)
    return arch, jax.device_put(params), peer


def expected(peer, sequence) -> np.ndarray:
    with torch.no_grad():
        return peer(torch.tensor(sequence)[None]).logits[0].numpy()


def test_logits_equal_transformers(case):
    arch, params, peer = case
    (tokens,) = rows(arch, [70])
    np.testing.assert_allclose(alone(params, arch, tokens), expected(peer, tokens), **CLOSE)


def test_padded_batches_equal_transformers(case):
    arch, params, peer = case
    tokens, positions, segments = padded(rows(arch, [45, 7, 30]))
    with torch.no_grad():
        theirs = peer(torch.tensor(tokens), attention_mask=torch.tensor(segments)).logits.numpy()
    ours = np.asarray(forward(params, tokens, positions, segments, arch=arch))
    np.testing.assert_allclose(ours[segments > 0], theirs[segments > 0], **CLOSE)


def test_packed_rows_equal_transformers_on_each_alone(case):
    arch, params, peer = case
    sequences = rows(arch, [33, 1, 22])
    ours = np.asarray(forward(params, *packed(sequences, 60), arch=arch))[0]
    np.testing.assert_allclose(ours[:56], np.concatenate([expected(peer, s) for s in sequences]), **CLOSE)


def test_decoding_on_pages_equals_transformers(case):
    """A prompt, then one token at a time, at another length in every sequence."""
    arch, params, peer = case
    sequences, starts = rows(arch, [40, 40]), np.array([9, 27])
    unstacked, pool = decoder.unstack(params), paged.pool(paged.XLA, arch, 10, 8, jnp.float32)
    table = jnp.array([[7, 0, 5, 9, 8], [2, 3, 1, 6, 4]], jnp.int32)

    @functools.partial(jax.jit, static_argnames="width")
    def step(pool, tokens, starts, width):
        spans = Spans(table, jnp.asarray(starts), jnp.ones(2, bool), ((2, width),))
        return decoder.extend(unstacked, tokens.reshape(-1), spans, pool, arch=arch, paged=paged.XLA)

    prompts = np.stack([np.pad(s[:n], (0, 27 - n)) for s, n in zip(sequences, starts, strict=True)])
    _, pool = step(pool, prompts, np.zeros(2, int), 27)
    theirs = [expected(peer, s) for s in sequences]
    for i in range(12):
        tokens = np.stack([s[n + i : n + i + 1] for s, n in zip(sequences, starts, strict=True)])
        hidden, pool = step(pool, tokens, starts + i, 1)
        for ours, logits, n in zip(np.asarray(decoder.logits(params, hidden)), theirs, starts, strict=True):
            np.testing.assert_allclose(ours, logits[n + i], **CLOSE)


@pytest.fixture(scope="module")
def tokens() -> tokenizer.HFTokenizer:
    """A tokenizer with fewer tokens than the models have rows, as of those whose vocabulary is filled up."""
    found = tokenizer.train(["a wren and two larks share nine figs"] * 3, vocab_size=released.V - 20)
    assert found.vocab_size < released.V
    return found


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen", "qwen2", "chatglm", "internlm2", "glm"])
def test_greedy_text_of_the_engine_is_that_of_transformers(name, tokens, tmp_path):
    """Some of their tokens are none of the tokenizer's; a text is made of the others."""
    peer = released.write(name, tmp_path)
    arch, params = load(tmp_path)
    engine = Engine(
        decoder.unstack(params), arch, tokens, end_tokens=(), slots=3, cache_length=120, decode_steps=8, page_tokens=16
    )
    prompts = [tuple(row.tolist()) for row in rows(arch, [5, 21, 40], seed=1)]
    done = run(engine, [generation(str(i), ids, max_new=64) for i, ids in enumerate(prompts)])
    for i, ids in enumerate(prompts):
        theirs = peer.generate(
            torch.tensor([ids]), max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=0
        )[0, len(ids) :].tolist()  # fmt: skip
        assert len(theirs) == 64
        assert done[str(i)].ids == tuple(theirs)
        assert done[str(i)].piece.text == tokens.decode(theirs)


def numbers(arch: Arch) -> decoder.Params:
    """Random parameters, on the host."""
    rng = np.random.default_rng(4)

    def number(path, x):
        return (0.2 * rng.normal(size=x.shape) + ("norm" in path[-1].key)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(number, decoder.abstract(arch))


def files_of(folder) -> dict[str, torch.Tensor]:
    found = {}
    for path in folder.glob("*.safetensors"):
        found |= safetensors.torch.load_file(path)
    for path in folder.glob("*.bin"):
        found |= torch.load(path, weights_only=True)
    return found


def identical(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.view(torch.int16), b.view(torch.int16))


@pytest.mark.parametrize("name", sorted(released.CASES))
def test_an_export_is_what_was_read(name, tmp_path):
    """Names, shapes, types and bytes of all tensors, and what config.json says; in the type of the release."""
    dtype = released.CASES[name].dtype
    released.write(name, tmp_path / "theirs", dtype=dtype)
    arch, params = load(tmp_path / "theirs", (1, 2, 1, 2))
    folders.save(tmp_path / "ours", params, arch, bos=None, eos=2, dtype=dtype, like=tmp_path / "theirs")
    theirs, ours = files_of(tmp_path / "theirs"), files_of(tmp_path / "ours")
    left_out = {tensor for tensor in theirs if "inv_freq" in tensor} | (
        {"lm_head.weight"} if arch.tie_embeddings else set()
    )
    assert theirs.keys() - left_out == ours.keys()
    assert [tensor for tensor in ours if not identical(ours[tensor], theirs[tensor])] == []
    assert folders.read_arch(tmp_path / "ours") == arch
    before, after = (json.loads((tmp_path / of / "config.json").read_text()) for of in ("theirs", "ours"))
    assert (before["model_type"], before["architectures"]) == (after["model_type"], after["architectures"])
    kept = {"auto_map", "pad_token_id", "initializer_range", "seq_length", "pretraining_tp"}
    assert {field: before[field] for field in kept & before.keys()} == {
        field: after.get(field) for field in kept & before.keys()
    }


KNOWN_TO_TRANSFORMERS = ("llama", "mistral", "qwen2", "glm")


@pytest.mark.parametrize(
    "name", sorted(name for name, case in released.CASES.items() if case.config["model_type"] in KNOWN_TO_TRANSFORMERS)
)
def test_transformers_reads_an_export_where_it_has_the_family(name, tmp_path):
    peer = released.write(name, tmp_path / "theirs")
    arch, params = load(tmp_path / "theirs")
    folders.save(tmp_path / "ours", params, arch, bos=0, eos=1, dtype="float32", like=tmp_path / "theirs")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours", dtype=torch.float32).eval()
    (row,) = rows(arch, [60])
    assert type(model) is type(peer)
    np.testing.assert_array_equal(expected(model, row), expected(peer, row))


@pytest.mark.parametrize("mesh", [(1, 8, 1), (1, 1, 2), (2, 2, 2)], ids=str)
@pytest.mark.parametrize("name", ["chatglm", "glm", "internlm2", "qwen"])
def test_every_mesh_gives_the_same_parameters(name, mesh, tmp_path):
    released.write(name, tmp_path)
    one, many = load(tmp_path)[1], load(tmp_path, mesh)[1]
    jax.tree.map(np.testing.assert_array_equal, one, many)


@pytest.mark.parametrize("name", ["chatglm", "internlm2"])
def test_sharded_weights_hold_what_the_folder_holds(name, tmp_path):
    released.write(name, tmp_path / "hf")
    sharded.write(tmp_path / "sharded", folders.open_weights(tmp_path / "hf"))
    (arch, params), (ours, again) = load(tmp_path / "hf"), load(tmp_path / "sharded", (1, 2, 2))
    assert ours == arch
    jax.tree.map(np.testing.assert_array_equal, params, again)
    folders.save(tmp_path / "out", again, arch, bos=0, eos=1, dtype="float32", like=tmp_path / "sharded")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == name


@pytest.mark.parametrize("name", ["chatglm", "glm", "internlm2", "qwen"])
def test_of_a_fused_tensor_the_rows_that_are_held_are_read_and_no_others(name, tmp_path, monkeypatch):
    released.write(name, tmp_path, kind="safetensors")
    weights = folders.open_weights(tmp_path)
    shapes, sizes = decoder.abstract(weights.arch)["layers"], []
    whole = {
        part: stacking.shard(weights, ("layers", part), slices_of(shapes[part].shape), np.float32) for part in shapes
    }
    read = folders.SafeTensor.read
    monkeypatch.setattr(
        folders.SafeTensor, "read", lambda self, slices: (sizes.append(bytes_of(slices)), read(self, slices))[1]
    )
    for part in ("q", "k", "v", "gate", "up"):
        first, half = shapes[part].shape[1] // 2, slices_of(shapes[part].shape)
        half = (slice(1, 2), slice(first, 2 * first), *half[2:])
        sizes.clear()
        ours = stacking.shard(weights, ("layers", part), half, np.float32)
        assert np.array_equal(ours, whole[part][half])
        assert sum(sizes) == ours.nbytes


def slices_of(shape) -> tuple[slice, ...]:
    return tuple(slice(0, size) for size in shape)


def bytes_of(slices) -> int:
    return 4 * int(np.prod([s.stop - s.start for s in slices]))


BIASED = dataclasses.replace(SMALL, qkv_bias=True, num_kv_heads=2)
LINEAR, LLAMA3 = RopeScaling("linear", 2.0), RopeScaling("llama3", 8.0, 1.0, 4.0, 32)


@pytest.mark.parametrize(
    ("arch", "kind"),
    [
        (SMALL, "llama"),
        (dataclasses.replace(SMALL, rope_scaling=LLAMA3), "llama"),
        (dataclasses.replace(SMALL, rope_scaling=LINEAR, window=16), "mistral"),
        (BIASED, "qwen2"),
        (dataclasses.replace(BIASED, window=16, tie_embeddings=True), "qwen2"),
        (dataclasses.replace(BIASED, rope_dims=8), "glm"),
        (dataclasses.replace(SMALL, rope_dims=12), "glm"),
    ],
    ids=str,
)
def test_an_architecture_of_no_checkpoint_is_written_in_the_plainest_layout_that_has_it(arch: Arch, kind, tmp_path):
    params = numbers(arch)
    folders.save(tmp_path, params, arch, bos=0, eos=1, dtype="float32")
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == kind
    again, read = load(tmp_path)
    assert again == arch
    jax.tree.map(np.testing.assert_array_equal, read, params)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    (row,) = rows(arch, [50])
    np.testing.assert_allclose(alone(params, arch, row), expected(model, row), **CLOSE)


@pytest.mark.parametrize(
    ("arch", "like", "words"),
    [
        (dataclasses.replace(SMALL, rope_dims=8, window=16), None, "config.model.window is 16.*'glm'"),
        (BIASED, "llama", "config.model.qkv_bias is True.*'llama'"),
        (BIASED, "qwen", "config.model.num_kv_heads is 2.*'qwen'"),
        (SMALL, "qwen2", "config.model.qkv_bias is False.*'qwen2'"),
    ],
)
def test_what_a_layout_cannot_say_is_refused(arch, like, words, tmp_path):
    if like is not None:
        released.write(like, tmp_path / "like")
    with pytest.raises(UserError, match=words):
        folders.save(
            tmp_path / "out", numbers(arch), arch, bos=0, eos=1, dtype="float32",
            like=None if like is None else tmp_path / "like",
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_fewer_positions_than_the_window_are_written_as_they_are(tmp_path):
    arch = dataclasses.replace(SMALL, window=64, max_positions=32)
    folders.save(tmp_path, numbers(arch), arch, bos=0, eos=1, dtype="float32")
    assert folders.read_arch(tmp_path) == dataclasses.replace(arch, window=None)


def test_a_number_that_float16_cannot_hold_is_no_infinity(tmp_path):
    params = numbers(SMALL)
    params["norm"] = params["norm"] + 1e5
    with pytest.raises(UserError, match=r"model\.norm\.weight has a number that float16 can't hold"):
        folders.save(tmp_path / "hf", params, SMALL, bos=0, eos=1, dtype="float16")
    assert list(tmp_path.iterdir()) == []
