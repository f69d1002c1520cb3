"""Weights go out and come in unchanged; a damaged folder is one line."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
import torch
import transformers

from dsmath.engine.engine import Engine
from dsmath.error import UserError
from dsmath.model import folder as folders
from tests.conftest import ROOT
from tests.model.loading import load
from tests.model.test_decoder import GROUPED, SMALL, random_params


@pytest.fixture
def folder(tmp_path):
    folders.save(tmp_path, random_params(SMALL), SMALL, bos=0, eos=1, dtype="float32")
    return tmp_path


def equal(a, b) -> bool:
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize("arch", [SMALL, GROUPED], ids=["7b_shaped", "grouped_tied"])
def test_out_and_in_is_the_identity(arch, tmp_path):
    folders.save(tmp_path, random_params(arch), arch, bos=0, eos=1, dtype="float32")
    arch_again, params = load(tmp_path)
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
    arch, params = load(tmp_path / "theirs")
    folders.save(tmp_path / "ours", params, arch, bos=1, eos=2, dtype=kind)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours", dtype="auto").state_dict()
    before = model.state_dict()
    assert before.keys() == again.keys()
    assert all(before[name].dtype == again[name].dtype for name in before)
    assert all(torch.equal(before[name], again[name]) for name in before)


def test_shards_hold_what_one_file_holds(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "SHARD_BYTES", 50_000)
    folders.save(tmp_path / "shards", random_params(SMALL), SMALL, bos=0, eos=1, dtype="float32")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    assert equal(load(tmp_path / "shards")[1], load(folder)[1])


def one_line(call) -> str:
    with pytest.raises(UserError) as e:
        call()
    assert "\n" not in str(e.value)
    return str(e.value)


def test_truncated_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    message = one_line(lambda: load(folder))
    assert str(path) in message
    assert "truncated" in message


def test_a_config_that_contradicts_the_weights(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"intermediate_size": 180}))
    message = one_line(lambda: load(folder))
    assert "model.layers.0.mlp.gate_proj.weight is [172, 64]" in message
    assert "[180, 64]" in message


def test_a_config_with_more_layers_than_the_weights(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 4}))
    assert "model.layers.3.self_attn.q_proj.weight" in one_line(lambda: load(folder))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model_type": "gpt2"}, "gpt2"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "llama3"),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"attention_multiplier": 0.5}, "attention_multiplier"),
        ({"some_field_of_next_year": 3}, "some_field_of_next_year"),
    ],
)
def test_an_architecture_that_the_decoder_lacks_is_refused(folder, change, word):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert word in one_line(lambda: load(folder))


@pytest.mark.parametrize(("window", "positions"), [(None, 64), (64, 64), (128, 64), (16, 16)])
def test_the_window_of_a_llama_caps_the_positions_within_which_it_changes_nothing(folder, window, positions):
    """Some read it there, others don't; up to it, they agree."""
    path = folder / "config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"max_position_embeddings": 64, "sliding_window": window})
    )
    arch = folders.read_arch(folder)
    assert (arch.max_positions, arch.window) == (positions, None)
    with pytest.raises(UserError, match=f"the model has {positions} positions"):
        Engine(None, arch, None, end_tokens=(), slots=1, cache_length=positions + 1, decode_steps=1)


def test_configs_that_transformers_writes_are_understood(tmp_path):
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 1}
    for kind in (transformers.LlamaConfig, transformers.MistralConfig):
        kind(**sizes, vocab_size=64, intermediate_size=32).save_pretrained(tmp_path)
        assert folders.read_arch(tmp_path).num_layers == 1


def test_an_export_replaces_an_earlier_one_with_all_its_shards(tmp_path, monkeypatch):
    """Else the old weights are read back: an index comes before a single file."""
    with monkeypatch.context() as patched:
        patched.setattr(folders, "SHARD_BYTES", 50_000)
        folders.save(tmp_path / "hf", random_params(GROUPED), GROUPED, bos=0, eos=1, dtype="float32")
    folders.save(tmp_path / "hf", random_params(SMALL), SMALL, bos=0, eos=1, dtype="float32")
    assert {p.name for p in (tmp_path / "hf").iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors",
    }  # fmt: skip
    assert equal(load(tmp_path / "hf")[1], random_params(SMALL))


def test_a_folder_that_holds_something_else_is_left_alone(folder):
    (folder / "thesis.tex").write_text("all of it")
    with pytest.raises(UserError, match=r"holds thesis.tex, which is no part of an export; choose another --out"):
        folders.save(folder, random_params(SMALL), SMALL, bos=0, eos=1, dtype="float32")
    assert (folder / "thesis.tex").read_text() == "all of it"


def test_ends_that_the_tokenizer_writes_stay_beside_the_one_that_was_trained(tmp_path):
    def save_tokenizer(folder):
        (folder / "generation_config.json").write_text('{"eos_token_id": [5, 7]}')

    for name, save, ends in (("one", None, 7), ("several", save_tokenizer, [7, 5])):
        folders.save(tmp_path / name, random_params(SMALL), SMALL, bos=0, eos=7, dtype="float32", save_tokenizer=save)
        found = json.loads((tmp_path / name / "generation_config.json").read_text())
        assert found == {"bos_token_id": 0, "eos_token_id": ends, "do_sample": False}


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_files_are_as_readable_as_the_umask_says(tmp_path, umask):
    before = os.umask(umask)
    try:
        folders.save(tmp_path / "hf", random_params(SMALL), SMALL, bos=0, eos=1, dtype="float32")
    finally:
        os.umask(before)
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "hf").iterdir()} == {0o666 & ~umask}


def test_a_disk_that_takes_no_more_leaves_no_folder_that_passes_for_whole(tmp_path):
    """In a process whose files may not grow beyond 64 kB, as on a disk that has no more."""
    code = (
        "import pathlib, resource, signal, sys\n"
        "from dsmath.error import UserError\n"
        "from dsmath.model import folder\n"
        "from tests.model.test_decoder import SMALL, random_params\n"
        "params = random_params(SMALL)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\n"
        "try:\n"
        "    folder.save(pathlib.Path(sys.argv[1]), params, SMALL, bos=0, eos=1, dtype='float32')\n"
        "except UserError as e:\n"
        "    print(e)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "hf")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"cannot write {tmp_path / 'hf'}: ")
    assert done.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    assert str(folder) in one_line(lambda: load(folder))
