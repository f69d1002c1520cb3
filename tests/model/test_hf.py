"""Weights go out and come in unchanged; a damaged folder is one line."""

import json

import jax
import numpy as np
import pytest
import torch
import transformers

from dsmath.error import UserError
from dsmath.model import hf
from tests.model.test_decoder import GROUPED, SMALL, random_params


@pytest.fixture
def folder(tmp_path):
    hf.save(tmp_path, random_params(SMALL), SMALL, bos=0, eos=1, dtype="float32")
    return tmp_path


def equal(a, b) -> bool:
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize("arch", [SMALL, GROUPED], ids=["7b_shaped", "grouped_tied"])
def test_out_and_in_is_the_identity(arch, tmp_path):
    hf.save(tmp_path, random_params(arch), arch, bos=0, eos=1, dtype="float32")
    arch_again, params = hf.load(tmp_path)
    assert arch_again == arch
    assert equal(params, random_params(arch))


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_a_folder_of_transformers_comes_back_identical(kind, tmp_path):
    """HF -> ours -> HF: every tensor, bit for bit, in one file and in shards."""
    config = transformers.LlamaConfig(
        vocab_size=96, hidden_size=32, intermediate_size=88, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).to(getattr(torch, kind))
    model.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    assert (tmp_path / "theirs" / "model.safetensors.index.json").exists()
    arch, params = hf.load(tmp_path / "theirs")
    hf.save(tmp_path / "ours", params, arch, bos=1, eos=2, dtype=kind)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours", dtype="auto").state_dict()
    before = model.state_dict()
    assert before.keys() == again.keys()
    assert all(before[name].dtype == again[name].dtype for name in before)
    assert all(torch.equal(before[name], again[name]) for name in before)


def test_shards_hold_what_one_file_holds(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(hf, "SHARD_BYTES", 50_000)
    hf.save(tmp_path / "shards", random_params(SMALL), SMALL, bos=0, eos=1, dtype="float32")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    assert equal(hf.load(tmp_path / "shards")[1], hf.load(folder)[1])


def one_line(call) -> str:
    with pytest.raises(UserError) as e:
        call()
    assert "\n" not in str(e.value)
    return str(e.value)


def test_truncated_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    message = one_line(lambda: hf.load(folder))
    assert str(path) in message
    assert "truncated" in message


def test_a_config_that_contradicts_the_weights(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"intermediate_size": 180}))
    message = one_line(lambda: hf.load(folder))
    assert "model.layers.0.mlp.down_proj.weight is [64, 172]" in message
    assert "[64, 180]" in message


def test_a_config_with_more_layers_than_the_weights(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 4}))
    assert "model.layers.3.input_layernorm.weight" in one_line(lambda: hf.load(folder))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model_type": "gpt2"}, "gpt2"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "llama3"),
    ],
)
def test_an_architecture_that_the_decoder_lacks_is_refused(folder, change, word):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert word in one_line(lambda: hf.load(folder))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    assert str(folder) in one_line(lambda: hf.load(folder))
