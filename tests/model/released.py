"""Tiny random checkpoints in the layouts and under the names of released ones, and peers that have the same weights.

The peers are models of `transformers`. Layouts are written by hand here, apart from dsmath/model/families.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
import transformers

State = dict[str, torch.Tensor]

V, D, F, L, N, K, H = 320, 64, 96, 2, 4, 2, 16
SIZES = {
    "vocab_size": V, "hidden_size": D, "intermediate_size": F, "num_hidden_layers": L, "num_attention_heads": N,
    "num_key_value_heads": K, "head_dim": H, "max_position_embeddings": 128,
}  # fmt: skip
COMMON = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None}
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
NAMES = {"model.embed_tokens": "embed", "model.norm": "norm", "lm_head": "head"}


@dataclasses.dataclass(frozen=True)
class Released:
    """A released layout in small."""

    peer: Callable[[], transformers.PreTrainedModel]
    config: dict  # config.json
    state: Callable[[State], State]  # the files' tensors, of the peer's
    kind: str  # of the files
    dtype: str  # of the files, as released


def random_peer(make: Callable[[], transformers.PreTrainedModel]) -> transformers.PreTrainedModel:
    """Random weights, away from any symmetry: norms not at 1, biases not at 0, and large enough to matter."""
    generator = torch.Generator().manual_seed(3)
    model = make()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(1 + 0.1 * noise if "norm" in name else 0.5 * noise if weight.ndim == 1 else 0.15 * noise)
    return model.float().eval()


def write(name: str, folder: Path, *, dtype: str = "float32", kind: str | None = None) -> transformers.PreTrainedModel:
    """Write a checkpoint as released, and return its peer. The peer's numbers are those of `dtype`, in f32."""
    released = CASES[name]
    peer = random_peer(released.peer)
    peer = peer.to(getattr(torch, dtype)).float()
    state = {
        tensor: value.detach().to(getattr(torch, dtype)).contiguous().clone()
        for tensor, value in released.state(dict(peer.state_dict())).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(released.config | {"torch_dtype": dtype}))
    write_files(folder, state, kind or released.kind)
    return peer


def write_files(folder: Path, state: State, kind: str) -> None:
    """Tensors as safetensors or .bin, in one file or two."""
    single, part, save = {
        "safetensors": ("model.safetensors", "model-{:05}-of-00002.safetensors", save_safetensors),
        "bin": ("pytorch_model.bin", "pytorch_model-{:05}-of-00002.bin", torch.save),
        "bin6": ("pytorch_model.bin", "pytorch_model-{:06}-of-000002.bin", torch.save),
    }[kind.removesuffix("_shards")]
    if not kind.endswith("_shards"):
        save(state, folder / single)
        return
    weight_map = {}
    for i in (1, 2):
        names = list(state)[i - 1 :: 2]
        save({tensor: state[tensor] for tensor in names}, folder / part.format(i))
        weight_map |= dict.fromkeys(names, part.format(i))
    (folder / f"{single}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def save_safetensors(state: State, path: Path) -> None:
    safetensors.torch.save_file(state, path, metadata={"format": "pt"})


def same(state: State) -> State:
    return state


def without_head(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if name != "lm_head.weight"}


def with_old_buffers(state: State) -> State:
    """As checkpoints of transformers before 4.32 have them."""
    buffers = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(H // 2) for i in range(L)}
    return state | buffers


def qwen(state: State) -> State:
    """Rows [q | k | v]; the gate is w2."""
    ends = {"embed": "transformer.wte", "norm": "transformer.ln_f", "head": "lm_head"}
    found = {f"{ends[ours]}.weight": state[f"{theirs}.weight"] for theirs, ours in NAMES.items()}
    for i in range(L):
        a, b = f"model.layers.{i}.", f"transformer.h.{i}."
        for kind in ("weight", "bias"):
            three = [state[f"{a}self_attn.{x}_proj.{kind}"] for x in "qkv"]
            found[f"{b}attn.c_attn.{kind}"] = torch.cat(three)
        for theirs, ours in {
            "input_layernorm": "ln_1", "post_attention_layernorm": "ln_2", "self_attn.o_proj": "attn.c_proj",
            "mlp.up_proj": "mlp.w1", "mlp.gate_proj": "mlp.w2", "mlp.down_proj": "mlp.c_proj",
        }.items():  # fmt: skip
            found[f"{b}{ours}.weight"] = state[f"{a}{theirs}.weight"]
    return found


def chatglm(state: State) -> State:
    """Rows [all q | all k | all v] and [gate | up]; the rotary pairs lie as in GlmForCausalLM."""
    ends = {
        "embed": "transformer.embedding.word_embeddings",
        "norm": "transformer.encoder.final_layernorm",
        "head": "transformer.output_layer",
    }
    found = {f"{ends[ours]}.weight": state[f"{theirs}.weight"] for theirs, ours in NAMES.items()}
    found["transformer.rotary_pos_emb.inv_freq"] = torch.ones(H // 4)
    for i in range(L):
        a, b = f"model.layers.{i}.", f"transformer.encoder.layers.{i}."
        for kind in ("weight", "bias"):
            three = [state[f"{a}self_attn.{x}_proj.{kind}"] for x in "qkv"]
            found[f"{b}self_attention.query_key_value.{kind}"] = torch.cat(three)
        for theirs, ours in {
            "input_layernorm": "input_layernorm", "post_attention_layernorm": "post_attention_layernorm",
            "self_attn.o_proj": "self_attention.dense", "mlp.gate_up_proj": "mlp.dense_h_to_4h",
            "mlp.down_proj": "mlp.dense_4h_to_h",
        }.items():  # fmt: skip
            found[f"{b}{ours}.weight"] = state[f"{a}{theirs}.weight"]
    return found


def internlm2(state: State) -> State:
    """Rows [N / K heads of q, k, v] for each key/value head; gate w1, up w3, down w2."""
    ends = {"embed": "model.tok_embeddings", "norm": "model.norm", "head": "output"}
    found = {f"{ends[ours]}.weight": state[f"{theirs}.weight"] for theirs, ours in NAMES.items()}
    for i in range(L):
        a = f"model.layers.{i}."
        q, k, v = (state[f"{a}self_attn.{x}_proj.weight"].view(K, -1, H, D) for x in "qkv")
        found[f"{a}attention.wqkv.weight"] = torch.cat([q, k, v], dim=1).reshape(-1, D)
        for theirs, ours in {
            "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
            "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1",
            "mlp.up_proj": "feed_forward.w3", "mlp.down_proj": "feed_forward.w2",
        }.items():  # fmt: skip
            found[f"{a}{ours}.weight"] = state[f"{a}{theirs}.weight"]
    return found


def _llama(**more) -> Callable[[], transformers.PreTrainedModel]:
    return lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES | COMMON | more))


def _qwen2(**more) -> Callable[[], transformers.PreTrainedModel]:
    return lambda: transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**SIZES | COMMON | more))


def _glm(**more) -> Callable[[], transformers.PreTrainedModel]:
    return lambda: transformers.GlmForCausalLM(transformers.GlmConfig(**SIZES | COMMON | more))


def standard(kind: str, architecture: str, **more) -> dict:
    """A config.json with the usual names."""
    files = {"architectures": [architecture], "model_type": kind, "transformers_version": "4.36.2", "use_cache": True}
    return (
        SIZES | {"hidden_act": "silu", "initializer_range": 0.02, "bos_token_id": 1, "eos_token_id": 2} | files | more
    )


QWEN_CONFIG = {
    "architectures": ["QWenLMHeadModel"],
    "auto_map": {"AutoConfig": "configuration_qwen.QWenConfig"},
    "attn_dropout_prob": 0.0, "bf16": False, "emb_dropout_prob": 0.0, "fp16": False, "fp32": False, "hidden_size": D,
    "intermediate_size": 2 * F, "initializer_range": 0.02, "kv_channels": H, "layer_norm_epsilon": 1e-06,
    "max_position_embeddings": 128, "model_type": "qwen", "no_bias": True, "num_attention_heads": N,
    "num_hidden_layers": L, "onnx_safe": None, "rotary_emb_base": 1000000, "rotary_pct": 1.0,
    "scale_attn_weights": True, "seq_length": 128, "tie_word_embeddings": False, "tokenizer_class": "QWenTokenizer",
    "transformers_version": "4.32.0", "use_cache": True, "use_dynamic_ntk": False, "use_flash_attn": "auto",
    "use_logn_attn": False, "vocab_size": V,
}  # fmt: skip
CHATGLM_CONFIG = {
    "_name_or_path": "THUDM/chatglm3-6b", "model_type": "chatglm", "architectures": ["ChatGLMModel"],
    "auto_map": {"AutoConfig": "configuration_chatglm.ChatGLMConfig"}, "add_bias_linear": False, "add_qkv_bias": True,
    "apply_query_key_layer_scaling": True, "apply_residual_connection_post_layernorm": False,
    "attention_dropout": 0.0, "attention_softmax_in_fp32": True, "bias_dropout_fusion": True, "ffn_hidden_size": F,
    "fp32_residual_connection": False, "hidden_dropout": 0.0, "hidden_size": D, "kv_channels": H,
    "layernorm_epsilon": 1e-05, "multi_query_attention": True, "multi_query_group_num": K, "num_attention_heads": N,
    "num_layers": L, "original_rope": True, "padded_vocab_size": V, "post_layer_norm": True, "pre_seq_len": None,
    "prefix_projection": False, "quantization_bit": 0, "rmsnorm": True, "seq_length": 128, "use_cache": True,
    "transformers_version": "4.30.2", "tie_word_embeddings": False, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
CHATGLM_PEER = {"rms_norm_eps": 1e-5, "attention_bias": True, "rope_theta": 10_000.0, "partial_rotary_factor": 0.5}

CASES = {
    "llama": Released(
        _llama(rms_norm_eps=1e-5, rope_theta=1e6),
        standard("llama", "LlamaForCausalLM", rms_norm_eps=1e-5, rope_theta=1e6, pretraining_tp=1, rope_scaling=None),
        with_old_buffers, "bin6_shards", "bfloat16",
    ),
    "llama_one_kv_head_tied": Released(
        _llama(rms_norm_eps=1e-6, num_key_value_heads=1, tie_word_embeddings=True),
        standard(
            "llama", "LlamaForCausalLM", rms_norm_eps=1e-6, rope_theta=1e4, num_key_value_heads=1,
            tie_word_embeddings=True,
        ),
        without_head, "safetensors", "bfloat16",
    ),
    "llama_linear": Released(
        _llama(rms_norm_eps=1e-5, rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}),
        standard(
            "llama", "LlamaForCausalLM", rms_norm_eps=1e-5, rope_theta=1e4,
            rope_scaling={"type": "linear", "factor": 4.0},
        ),
        same, "bin", "float16",
    ),
    "llama3": Released(
        _llama(
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "llama3", "factor": 8.0, "rope_theta": 1e4} | LLAMA3,
        ),
        standard(
            "llama", "LlamaForCausalLM", rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "llama3", "factor": 8.0, "rope_theta": 1e4} | LLAMA3,
        ),
        same, "safetensors_shards", "bfloat16",
    ),
    "mistral": Released(
        lambda: transformers.MistralForCausalLM(
            transformers.MistralConfig(**SIZES | COMMON, rms_norm_eps=1e-5, rope_theta=1e4, sliding_window=16)
        ),
        standard("mistral", "MistralForCausalLM", rms_norm_eps=1e-5, rope_theta=1e4, sliding_window=16),
        same, "bin_shards", "bfloat16",
    ),
    "qwen": Released(
        _qwen2(rms_norm_eps=1e-6, rope_theta=1e6, num_key_value_heads=N),
        QWEN_CONFIG, qwen, "safetensors_shards", "bfloat16",
    ),
    "qwen2": Released(
        _qwen2(rms_norm_eps=1e-6, rope_theta=1e6, tie_word_embeddings=True),
        standard(
            "qwen2", "Qwen2ForCausalLM", rms_norm_eps=1e-6, rope_theta=1e6, tie_word_embeddings=True,
            use_sliding_window=False, sliding_window=16, max_window_layers=1,
        ),
        same, "bin", "bfloat16",
    ),
    "qwen2_window": Released(
        _qwen2(rms_norm_eps=1e-6, rope_theta=1e6, use_sliding_window=True, sliding_window=16, max_window_layers=0),
        standard(
            "qwen2", "Qwen2ForCausalLM", rms_norm_eps=1e-6, rope_theta=1e6, use_sliding_window=True,
            sliding_window=16, max_window_layers=0,
        ),
        same, "safetensors", "bfloat16",
    ),
    "chatglm": Released(_glm(**CHATGLM_PEER), CHATGLM_CONFIG, chatglm, "bin_shards", "float16"),
    "chatglm_one_kv_head": Released(
        _glm(**CHATGLM_PEER | {"num_key_value_heads": 1, "rope_theta": 500_000.0}),
        CHATGLM_CONFIG | {"multi_query_group_num": 1, "rope_ratio": 50, "num_hidden_layers": L, "vocab_size": V},
        chatglm, "safetensors_shards", "float16",
    ),
    "internlm2": Released(
        _llama(rms_norm_eps=1e-5, rope_theta=1e6),
        standard(
            "internlm2", "InternLM2ForCausalLM", rms_norm_eps=1e-5, rope_theta=1000000, bias=False,
            attn_implementation="eager", rope_scaling={"type": "dynamic", "factor": 1.0}, tie_word_embeddings=False,
        ),
        internlm2, "safetensors_shards", "bfloat16",
    ),
    "glm": Released(
        _glm(rms_norm_eps=1.5625e-7, attention_bias=True, rope_theta=10_000.0, partial_rotary_factor=0.5),
        standard(
            "glm", "GlmForCausalLM", rms_norm_eps=1.5625e-7, attention_bias=True, rope_theta=10000.0,
            partial_rotary_factor=0.5, attention_dropout=0.0, pad_token_id=0, tie_word_embeddings=False,
        ),
        same, "safetensors", "bfloat16",
    ),
}  # fmt: skip
