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
from dsmath.model import decoder, paged, stacking
from dsmath.model import folder as folders
from dsmath.model.families import model_types
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
    kept = {"auto_map", "pad_token_id", "tokenizer_class", "initializer_range", "seq_length", "pretraining_tp"}
    assert {field: before[field] for field in kept & before.keys()} == {
        field: after.get(field) for field in kept & before.keys()
    }


@pytest.mark.parametrize("name", sorted(name for name in released.CASES if "chatglm" not in name))
def test_transformers_reads_an_export_where_it_has_the_family(name, tmp_path):
    if json.loads(json.dumps(released.CASES[name].config))["model_type"] not in ("llama", "mistral", "qwen2", "glm"):
        pytest.skip("a family of remote code")
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


def changed(name: str, folder, **fields) -> str:
    """What is said of a checkpoint whose config.json has other fields; None takes one away."""
    released.write(name, folder)
    config = json.loads((folder / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps({key: v for key, v in config.items() if v is not ...}))
    with pytest.raises(UserError) as e:
        load(folder)
    assert "\n" not in str(e.value)
    assert str(folder) in str(e.value)
    return str(e.value)


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("qwen", {"use_dynamic_ntk": True}, "use_dynamic_ntk is True"),
        ("qwen", {"use_logn_attn": True}, "use_logn_attn is True"),
        ("qwen", {"use_logn_attn": ...}, "lacks 'use_logn_attn'"),  # the class then has it on
        ("qwen", {"no_bias": False}, "no_bias is False"),
        ("qwen", {"rotary_pct": 0.25}, "rotary_pct is 0.25"),
        ("qwen", {"scale_attn_weights": False}, "scale_attn_weights is False"),
        ("qwen", {"intermediate_size": 191}, "intermediate_size is 191"),
        ("qwen", {"intermediate_size": 96}, r"transformer.h.0.mlp.w2.weight is [96, 64]"),
        ("qwen", {"visual": {"layers": 2}}, "visual is {'layers': 2}"),
        ("qwen2", {"use_sliding_window": True}, "max_window_layers is 1"),
        ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
        ("qwen2", {"rope_scaling": {"type": "yarn", "factor": 4.0}}, "'yarn'"),
        ("chatglm", {"rmsnorm": False}, "rmsnorm is False"),
        ("chatglm", {"post_layer_norm": False}, "post_layer_norm is False"),
        ("chatglm", {"apply_residual_connection_post_layernorm": True}, "apply_residual_connection_post_layernorm"),
        ("chatglm", {"add_bias_linear": True}, "add_bias_linear is True"),
        ("chatglm", {"interleaved_qkv": True}, "interleaved_qkv is True"),
        ("chatglm", {"quantization_bit": 4}, "quantization_bit is 4"),
        ("chatglm", {"pre_seq_len": 128}, "pre_seq_len is 128"),
        ("chatglm", {"multi_query_attention": False}, "multi_query_attention is False"),
        ("chatglm", {"multi_query_attention": ...}, "lacks 'multi_query_attention'"),
        ("chatglm", {"position_encoding_2d": True}, "position_encoding_2d is True"),
        ("chatglm", {"num_hidden_layers": 3}, "num_hidden_layers is 3, but num_layers is 2"),
        ("chatglm", {"add_qkv_bias": False}, "transformer.encoder.layers.0.self_attention.query_key_value.bias"),
        ("chatglm", {"ffn_hidden_size": 100}, "mlp.dense_h_to_4h.weight is [192, 64]"),
        ("chatglm", {"multi_query_group_num": 1}, "query_key_value.weight is [128, 64]"),
        ("internlm2", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "'dynamic' with factor 2.0"),
        ("internlm2", {"bias": True}, "bias is True"),
        ("internlm2", {"bias": ...}, "lacks 'bias'"),
        ("internlm2", {"model_type": "internlm", "architectures": ["InternLMForCausalLM"]}, "InternLM2ForCausalLM"),
        ("internlm2", {"num_key_value_heads": 4}, "attention.wqkv.weight is [128, 64]"),
        ("glm", {"attention_bias": False}, "self_attn.k_proj.bias"),
        ("glm", {"partial_rotary_factor": 0.07}, "0.07"),
        ("glm", {"attention_bias": ...}, "lacks 'attention_bias'"),
        ("llama", {"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ("llama", {"attention_bias": True}, "attention_bias is True"),
        ("llama", {"rope_scaling": {"type": "linear"}}, "lacks 'factor'"),
        ("llama", {"rope_scaling": {"type": "linear", "rope_type": "llama3", "factor": 8.0}}, "['linear', 'llama3']"),
        ("llama", {"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}, "rope_theta is 1000000.0, but"),
        ("llama3", {"rope_scaling": {"type": "linear", "factor": 8.0}}, "rope_parameters and rope_scaling differ"),
        ("llama3", {"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, "lacks 'low_freq_factor'"),
        ("mistral", {"layer_types": ["full_attention"] * 2}, "layer_types"),
        ("mistral", {"model_type": "mixtral"}, "'mixtral'"),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_decoder_lacks_is_refused_by_name(name, fields, words, tmp_path):
    assert words in changed(name, tmp_path, **fields)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("internlm2", {"model_type": "internlm"}),
        ("internlm2", {"rope_scaling": None}),
        ("chatglm", {"apply_query_key_layer_scaling": False, "fp32_residual_connection": True}),
        ("glm", {"partial_rotary_factor": ..., "rope_theta": ..., "rope_parameters": {
            "rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5,
        }}),
        ("llama3", {"rope_parameters": ..., "rope_theta": 1e4, "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0} | released.LLAMA3}),
        ("llama_linear", {"rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
        ("mistral", {"hidden_act": ..., "tie_word_embeddings": False}),
        ("qwen2", {"layer_types": ["full_attention"] * 2}),
        ("qwen2_window", {"layer_types": ["sliding_attention"] * 2}),
    ],
    ids=str,
)  # fmt: skip
def test_other_spellings_of_the_same_model(name, fields, tmp_path):
    released.write(name, tmp_path)
    arch, path = folders.read_arch(tmp_path), tmp_path / "config.json"
    config = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))
    assert folders.open_weights(tmp_path).arch == arch


@pytest.mark.parametrize(("window", "found"), [(None, None), (16, 16), (127, 127), (128, None), (4096, None)])
def test_a_window_that_holds_all_positions_is_none(window, found, tmp_path):
    released.write("mistral", tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sliding_window": window}))
    assert (folders.read_arch(tmp_path).window, folders.read_arch(tmp_path).max_positions) == (found, 128)


@pytest.mark.parametrize("kind", ["safetensors", "bin_shards"])
@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("llama", "model.layers.0.self_attn.o_proj.bias"),
        ("llama", "model.layers.2.self_attn.q_proj.weight"),
        ("qwen", "transformer.h.1.attn.c_proj.bias"),
        ("qwen2", "score.weight"),
        ("chatglm", "transformer.encoder.layers.0.mlp.dense_4h_to_h.bias"),
        ("chatglm", "transformer.prefix_encoder.embedding.weight"),
        ("internlm2", "model.layers.0.attention.wo.bias"),
        ("glm", "model.layers.0.self_attn.o_proj.bias"),
        ("glm", "model.layers.0.post_self_attn_layernorm.weight"),
    ],
)
def test_a_tensor_that_nothing_is_made_of_is_refused_by_name(name, extra, kind, tmp_path):
    peer = released.write(name, tmp_path, kind="safetensors")
    (tmp_path / "model.safetensors").unlink()
    state = {key: tensor.clone() for key, tensor in released.CASES[name].state(dict(peer.state_dict())).items()}
    released.write_files(tmp_path, state | {extra: torch.zeros(4)}, kind)
    with pytest.raises(UserError, match=r"made of tensor " + extra.replace(".", r"\.") + r" \[4\]"):
        load(tmp_path)


def test_a_tied_head_that_stands_in_the_files_is_the_embedding_or_refused(tmp_path):
    """torch.save keeps it beside the embedding, of one storage."""
    released.write("qwen2", tmp_path / "bin")
    assert load(tmp_path / "bin")[1].keys() == {"embed", "norm", "layers"}
    assert "lm_head.weight" in files_of(tmp_path / "bin")
    state = files_of(tmp_path / "bin")
    released.write_files(tmp_path / "bin", state | {"lm_head.weight": state["lm_head.weight"] + 1}, "bin")
    with pytest.raises(UserError, match=r"lm_head\.weight is another tensor than model\.embed_tokens\.weight"):
        load(tmp_path / "bin")


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


def test_families_are_found_by_their_own_model_type():
    assert [kind for kind, family in model_types.FAMILIES.items() if family.model_type != kind] == ["internlm"]
