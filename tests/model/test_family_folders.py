"""What is refused of a checkpoint's config.json and tensors, and what is understood; every refusal is one line."""

import json

import pytest
import torch
import transformers

from dsmath.error import UserError
from dsmath.model import folder as folders
from dsmath.model.families import model_types
from tests.model import released
from tests.model.loading import load
from tests.model.test_families import files_of


def test_families_are_found_by_their_own_model_type():
    assert [kind for kind, family in model_types.FAMILIES.items() if family.model_type != kind] == ["internlm"]


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
        ("llama", {"sliding_window": 0}, "sliding_window is 0"),
        ("llama", {"rms_norm_eps": None}, "a value of the wrong kind"),
        ("llama", {"rope_scaling": "linear"}, "a value of the wrong kind"),
        ("mistral", {"sliding_window": 0}, "sliding_window is 0"),
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


def test_what_a_mistral_config_leaves_out_is_what_its_class_has(tmp_path):
    theirs = transformers.MistralConfig()
    lean = {"model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
    lean |= {"num_attention_heads": 32, "rms_norm_eps": 1e-5, "vocab_size": 32000, "max_position_embeddings": 32768}
    (tmp_path / "config.json").write_text(json.dumps(lean))
    arch = folders.read_arch(tmp_path)
    assert (arch.window, arch.num_kv_heads) == (theirs.sliding_window, theirs.num_key_value_heads) == (4096, 8)
    (tmp_path / "config.json").write_text(json.dumps(lean | {"sliding_window": None}))
    assert folders.read_arch(tmp_path).window is None


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
