"""The same weights from every kind of file, on every mesh; each host reads its part, within bounded memory."""

import functools
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch
import transformers

from dsmath.config import Arch, Mesh
from dsmath.error import UserError
from dsmath.model import decoder, folder, sharded, smollm2, stacking, weights
from dsmath.model.families import layout, llama
from dsmath.model.fingerprint import fingerprint
from dsmath.sharding import DECODING, TRAINING, make_mesh, shardings
from tests.conftest import ROOT
from tests.model.counting import counted
from tests.model.loading import MESHES, load

SMALL = transformers.LlamaConfig(
    vocab_size=96, hidden_size=64, intermediate_size=80, num_hidden_layers=3, num_attention_heads=8,
    num_key_value_heads=4, max_position_embeddings=64, tie_word_embeddings=False, torch_dtype="bfloat16",
)  # fmt: skip
PART = "tests.model.read_part"
KINDS = ["safetensors", "safetensors_shards", "bin", "bin_shards"]


@pytest.fixture(scope="module")
def theirs() -> transformers.LlamaForCausalLM:
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(SMALL).to(torch.bfloat16)


@pytest.fixture(scope="module")
def published(theirs, tmp_path_factory):
    """Folders of the same model, by kind."""
    root = tmp_path_factory.mktemp("published")
    theirs.save_pretrained(root / "safetensors")
    theirs.save_pretrained(root / "safetensors_shards", max_shard_size="60KB")
    for kind in ("bin", "bin_shards"):
        (root / kind).mkdir()
        shutil.copy(root / "safetensors" / "config.json", root / kind)
    state = theirs.state_dict()
    torch.save(state, root / "bin" / "pytorch_model.bin")
    halves = {f"pytorch_model-{i:06}-of-000002.bin": list(state)[i - 1 :: 2] for i in (1, 2)}
    for file, names in halves.items():
        torch.save({name: state[name] for name in names}, root / "bin_shards" / file)
    index = {"metadata": {}, "weight_map": {name: file for file, names in halves.items() for name in names}}
    (root / "bin_shards" / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    sharded.write(root / "sharded", folder.open_weights(root / "bin_shards"))
    return root


def same(a, b) -> bool:
    """Bit for bit, with equal types."""
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        x.dtype == y.dtype and x.tobytes() == y.tobytes()
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_those_that_transformers_loads(kind, published):
    arch, params = load(published / kind)
    model = transformers.AutoModelForCausalLM.from_pretrained(published / kind, dtype=torch.float32)
    state = model.state_dict()
    named = {name: make() for name, _, make in layout.pieces(llama.layout(arch), arch, params)}
    assert named.keys() == state.keys()
    assert [name for name in named if not np.array_equal(named[name], state[name].numpy())] == []


@pytest.mark.parametrize("mesh", MESHES[1:], ids=str)
@pytest.mark.parametrize("source", ["safetensors_shards", "bin_shards", "sharded"])
def test_every_mesh_gives_the_same_parameters(source, mesh, published):
    assert same(load(published / source, mesh)[1], load(published / "bin")[1])


@pytest.mark.parametrize("mesh", [(1, 8, 1), (2, 2, 2)], ids=str)
def test_random_parameters_are_the_same_on_every_mesh(mesh, published):
    arch = folder.read_arch(published / "bin")
    _, params = weights.open_start("random", arch, seed=3, mesh=make_mesh(Mesh(*mesh)), rules=TRAINING)
    unsplit = jax.jit(functools.partial(decoder.init, arch))(jax.random.key(3))
    assert same(jax.device_get(params), jax.device_get(unsplit))


def test_gguf_gives_the_same_parameters_on_every_mesh():
    """Its rotary pairs are put in order head by head, its rows dequantised apart."""
    whole = load(weights.SMOLLM2)[1]
    mesh = make_mesh(Mesh(1, 2, 3), jax.devices()[:6])
    _, split = weights.open_start(weights.SMOLLM2, None, seed=0, mesh=mesh, rules=TRAINING)
    assert fingerprint(split) == fingerprint(jax.tree.map(jnp.asarray, whole))
    assert same(jax.device_get(split["layers"]["q"]), whole["layers"]["q"])


def test_each_device_holds_its_shard_in_the_type_that_was_asked_for(published):
    mesh = make_mesh(Mesh(1, 4, 2))
    _, params = weights.open_start(
        str(published / "bin"), None, seed=0, mesh=mesh, rules=DECODING, dtype=ml_dtypes.bfloat16
    )
    gate = params["layers"]["gate"]
    assert (gate.dtype, gate.addressable_shards[0].data.shape) == (jnp.bfloat16, (3, 40, 64))


def test_a_mesh_that_does_not_divide_the_model_is_one_line(published):
    with pytest.raises(UserError, match=r"splits axis 'kv_heads' over 8 devices, but its size is 4"):
        load(published / "bin", (1, 1, 8))


@pytest.mark.parametrize("mesh", MESHES, ids=str)
def test_what_several_devices_hold_alike_is_read_once(mesh, published):
    opened, read = counted(folder.open_weights(published / "bin"))
    over = shardings(decoder.axes(opened.arch), make_mesh(Mesh(*mesh)), TRAINING)
    stacking.place(opened, over, np.float32)
    sizes = {name: np.prod(t.shape) * 2 for name, t in map(opened.tensor, places(opened.arch))}
    assert dict(read) == sizes


def places(arch: Arch) -> list[stacking.Place]:
    return [place for place, _ in stacking.places(arch)]


def start(*args: object, **env: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *map(str, args)], cwd=ROOT, env=os.environ | env,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def result(process: subprocess.Popen) -> dict:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors[-2000:]
    return json.loads(out.strip().splitlines()[-1])


@pytest.mark.parametrize("mesh", [(1, 4), (2, 2)], ids=str)
def test_a_host_reads_the_bytes_that_its_devices_hold_and_one_of_them_exports(mesh, published, tmp_path):
    """Two processes of two devices each, on one mesh."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    shutil.copytree(published / "sharded", tmp_path / "sharded")
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_NUM_PROCESSES": "2"}
    flags["JAX_COORDINATOR_ADDRESS"] = f"localhost:{port}"
    hosts = [
        start(
            "-m", "tests.model.read_part", published / "bin_shards", tmp_path / "out", *mesh, JAX_PROCESS_ID=i, **flags
        )
        for i in "01"
    ]
    found = [result(host) for host in hosts]
    _, params = load(published / "bin")
    total = sum(x.size for x in jax.tree.leaves(params))
    for host in found:
        assert host["read"] == 2 * host["held"]  # bf16
        assert host["fingerprint"] == fingerprint(jax.tree.map(jnp.asarray, params))
    norms = sum(x.size for name, x in params["layers"].items() if name.endswith("norm")) + params["norm"].size
    if mesh == (1, 4):  # but for the norms, that all hold
        assert sum(host["held"] for host in found) == total + norms
    else:
        assert [host["held"] for host in found] == [total, total]
    assert same(load(tmp_path / "out")[1], params)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "sharded"]


def digests(folder) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.safetensors")}


@pytest.mark.parametrize("shard", [60_000, 10**9])
def test_published_files_come_back_byte_for_byte(shard, theirs, tmp_path, monkeypatch):
    """HF -> parameters in f32 on a mesh -> HF, cut where `transformers` cuts."""
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size=shard)
    monkeypatch.setattr(folder, "SHARD_BYTES", shard)
    arch, params = load(tmp_path / "theirs", (1, 2, 2))
    folder.save(tmp_path / "ours", params, arch, bos=1, eos=2, dtype="bfloat16")
    assert len(digests(tmp_path / "ours")) == (1 if shard == 10**9 else 4)
    assert digests(tmp_path / "ours") == digests(tmp_path / "theirs")
    if shard < 10**9:
        maps = [json.loads((tmp_path / of / folder.INDEX).read_text())["weight_map"] for of in ("ours", "theirs")]
        assert maps[0] == maps[1]


def test_a_file_is_the_one_that_the_library_writes(published, tmp_path):
    arch, params = load(published / "bin")
    folder.save(tmp_path / "ours", params, arch, bos=1, eos=2, dtype="float32")
    named = {name: make() for name, _, make in layout.pieces(llama.layout(arch), arch, params)}
    safetensors.numpy.save_file(named, tmp_path / "library.safetensors", metadata={"format": "pt"})
    assert (tmp_path / "ours" / folder.SINGLE).read_bytes() == (tmp_path / "library.safetensors").read_bytes()


def test_sharded_weights_keep_types_and_stand_beside_what_the_folder_had(published):
    assert sorted(path.name for path in (published / "sharded").iterdir()) == ["config.json", "ends", "layers"]
    assert len(list((published / "sharded" / "layers").iterdir())) == 3
    size = sum(path.stat().st_size for path in (published / "sharded").rglob("*"))
    assert size < 1.5 * sum(path.stat().st_size for path in (published / "bin").rglob("*"))


@pytest.mark.parametrize("part", ["layers/2", "ends", "layers/0/_METADATA"])
def test_sharded_weights_that_are_not_whole_are_one_line(part, published, tmp_path):
    copy = shutil.copytree(published / "sharded", tmp_path / "copy")
    shutil.rmtree(copy / part) if (copy / part).is_dir() else (copy / part).unlink()
    with pytest.raises(UserError) as e:
        load(copy)
    assert "\n" not in str(e.value)
    assert str(copy) in str(e.value)


def test_sharded_weights_of_another_architecture_are_one_line(published, tmp_path):
    copy = shutil.copytree(published / "sharded", tmp_path / "copy")
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"intermediate_size": 88}))
    with pytest.raises(UserError, match=r"layers/0: parameter down is \[64, 80\], but .* \[64, 88\]"):
        load(copy)


MEASURED = """
import pathlib, re, sys, jax, numpy as np
from dsmath.config import Mesh
from dsmath.model import folder, sharded, weights
from dsmath.sharding import TRAINING, make_mesh

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

verb, source, out = sys.argv[1:]
small = jax.device_put(np.zeros(8)).block_until_ready()
if verb == "write":  # once in small, to load what Orbax loads
    sharded.write(pathlib.Path(out + "-small"), folder.open_weights(pathlib.Path(source + "-small")))
before = peak()
if verb == "write":
    sharded.write(pathlib.Path(out), folder.open_weights(pathlib.Path(source)))
else:
    mesh = make_mesh(Mesh(1, 4, 1))
    weights.open_start(source, None, seed=0, mesh=mesh, rules=TRAINING, dtype=np.dtype("float32"))
print(peak() - before)
"""
LARGE = Arch(32_000, 512, 1408, 32, 8, 8, 64, 1e4, 1e-6, tie_embeddings=False, max_positions=64)  # 138 M parameters


@pytest.fixture(scope="module")
def large(published, tmp_path_factory):
    """A folder of 275 MB in bf16, and a small one beside it."""
    root = tmp_path_factory.mktemp("large")
    params = jax.tree.map(lambda x: np.zeros(x.shape, ml_dtypes.bfloat16), decoder.abstract(LARGE))
    folder.save(root / "hf", params, LARGE, bos=0, eos=1, dtype="bfloat16")
    shutil.copytree(published / "bin", root / "hf-small")
    torch_bin = {
        name: torch.from_numpy(tensor.view(np.int16)).view(torch.bfloat16)
        for name, tensor in safetensors.numpy.load_file(root / "hf" / folder.SINGLE).items()
    }
    (root / "bin").mkdir()
    torch.save(torch_bin, root / "bin" / "pytorch_model.bin")
    shutil.copy(root / "hf" / "config.json", root / "bin")
    return root


@pytest.mark.parametrize("source", ["hf", "bin"])
def test_memory_beyond_the_parameters_is_that_of_a_shard(source, large):
    """The largest shard of four is 28 MB in f32 and a tensor of the file 33 MB; the file is 275 MB."""
    measure = start("-c", MEASURED, "read", large / source, "")
    parameters = 4 * sum(x.size for x in jax.tree.leaves(decoder.abstract(LARGE)))
    assert parameters < result(measure) < parameters + (130 << 20)


def test_weights_are_sharded_within_the_memory_of_a_few_layers(large, tmp_path):
    """A layer is 6 MB, the ends 66 MB."""
    assert result(start("-c", MEASURED, "write", large / "hf", tmp_path / "out")) < 250 << 20


def test_the_header_of_a_gguf_is_parsed_once(monkeypatch):
    from dsmath.model import gguf

    gguf.open_file.cache_clear()
    parsed = []
    reader = gguf.gguf.GGUFReader
    monkeypatch.setattr(gguf.gguf, "GGUFReader", lambda path: parsed.append(path) or reader(path))
    weights.arch_of(weights.SMOLLM2, None)
    gguf.open_weights(smollm2.fetch())
    assert len(parsed) == 1
