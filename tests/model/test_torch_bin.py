"""What torch.save wrote is read equal; what isn't tensors is refused by its name, and nothing of it is executed."""

import builtins
import collections
import functools
import io
import os
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest
import torch

from dsmath.error import UserError
from dsmath.model.torch_bin import read_tensors


def whole(tensor) -> np.ndarray:
    return np.asarray(tensor.read(tuple(slice(0, size) for size in tensor.shape)))


def equal(ours, theirs: torch.Tensor) -> bool:
    theirs = theirs.detach()
    same_type = str(theirs.dtype).removeprefix("torch.") == ours.dtype.name
    return same_type and np.array_equal(whole(ours).astype(np.float64), theirs.double().numpy())


BASE = torch.arange(600.0).reshape(20, 30)


class Weight(torch.nn.Parameter):
    """A parameter of a type of one's own."""


TAGGED = torch.randn(3, 2)
TAGGED.note = "an attribute, for which torch rebuilds by way of its type"
TENSORS = {
    "plain": torch.randn(4, 5),
    "transposed": BASE.t(),
    "strided": BASE[1:19:3, ::4],
    "rows": BASE[5:9],  # shares the storage with the two before
    "of_a_larger_storage": torch.randn(100, 7, dtype=torch.bfloat16)[10:12, 3:5],
    "broadcast": torch.ones(1, 3).expand(4, 3),
    "half": torch.randn(6).half(),
    "double": torch.randn(6).double(),
    "whole_numbers": torch.arange(5),
    "scalar": torch.tensor(3.0),
    "empty": torch.zeros(0, 3),
    "parameter": torch.nn.Parameter(torch.randn(3, 2)),
    "parameter_of_a_larger_storage": torch.nn.Parameter(torch.randn(50, 4).bfloat16()[7:11]),
    "parameter_of_another_type": Weight(torch.randn(3, 2)),
    "tagged": TAGGED,
}


def test_files_of_torch_are_read_equal(tmp_path):
    torch.save(TENSORS, tmp_path / "x.bin")
    ours, theirs = read_tensors(tmp_path / "x.bin"), torch.load(tmp_path / "x.bin", weights_only=False)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not equal(ours[name], theirs[name])] == []


def test_a_state_dict_with_metadata_is_read_equal(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    torch.save(module.state_dict(), tmp_path / "x.bin")
    ours = read_tensors(tmp_path / "x.bin")
    assert all(equal(ours[name], theirs) for name, theirs in module.state_dict().items())


@pytest.mark.parametrize("view", ["plain", "transposed", "strided", "rows", "broadcast"])
def test_a_slice_is_the_slice_of_the_whole(tmp_path, view):
    torch.save(TENSORS, tmp_path / "x.bin")
    tensor = read_tensors(tmp_path / "x.bin")[view]
    for part in (np.s_[0:1, 0:2], np.s_[2:4, 1:3], np.s_[1:4, 0:3], np.s_[1:1, 0:2]):
        assert np.array_equal(tensor.read(part), whole(tensor)[part])


# What a file may hold against us. Each is written as a pickle of its own, with one storage of 24 floats beside it.


class Call:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class Storage:
    """Pickles as a storage."""

    def __init__(self, *id):
        self.id = id or ("storage", torch.FloatStorage, "0", "cpu", 24)


def pickled(value, protocol: int = 2) -> bytes:
    out = io.BytesIO()
    pickler = pickle.Pickler(out, protocol)
    pickler.persistent_id = lambda x: x.id if isinstance(x, Storage) else None
    pickler.dump(value)
    return out.getvalue()


def tensor(offset=0, shape=(4, 6), strides=(6, 1), storage=None):
    rest = (False, collections.OrderedDict())
    return Call(torch._utils._rebuild_tensor_v2, storage or Storage(), offset, shape, strides, *rest)


def archive(path, data: bytes, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", data)
        file.writestr("archive/data/0", np.arange(24, dtype=np.float32).tobytes())
    return path


def refusal(path) -> str:
    begun = time.monotonic()
    with pytest.raises(UserError) as e:
        read_tensors(path)
    assert time.monotonic() - begun < 5
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)
    return str(e.value)


def test_what_is_made_here_is_read_where_it_is_right(tmp_path):
    found = read_tensors(archive(tmp_path / "x.bin", pickled({"a": tensor()})))
    assert np.array_equal(whole(found["a"]), np.arange(24.0).reshape(4, 6))


MARK = "executed"
TENSOR = pickled(tensor())[2:-1]  # without the protocol and the end
TUPLES = b"K\x01" + b"".join(b"\x85q%c0h%c" % (i, i) + b"h%c\x86" % i for i in range(60))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Call(os.system, f"touch {MARK}"), f"{os.system.__module__}.system"),
        (Call(eval, f"open({MARK!r}, 'w')"), "eval"),
        (Call(exec, f"open({MARK!r}, 'w')"), "exec"),
        (Call(getattr, "x", "upper"), "getattr"),
        (Call(builtins.open, MARK, "w"), "open"),
        (Call(pickle.loads, pickle.dumps(Call(os.system, f"touch {MARK}"))), "pickle.loads"),
        (Call(torch.storage._load_from_bytes, b"x"), "torch.storage._load_from_bytes"),
        (functools.partial(print), "functools.partial"),
        (torch.load, "torch.serialization.load"),
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (np.float64(1.0), "numpy"),
        (Call(torch._utils._rebuild_sparse_tensor, 1), "torch._utils._rebuild_sparse_tensor"),
        (Call(collections.OrderedDict.fromkeys, "ab"), "getattr"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_name_that_tensors_do_not_need_is_refused_by_name(tmp_path, monkeypatch, value, name):
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "x.bin", pickled({"a": tensor(), "b": value}))
    assert name in refusal(path)
    assert not (tmp_path / MARK).exists()


def test_a_hostile_file_of_torch_itself_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.ones(2), "b": Call(os.system, f"touch {MARK}")}, tmp_path / "x.bin")
    assert f"{os.system.__module__}.system" in refusal(tmp_path / "x.bin")
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (pickled({"a": Call(os.system, "true")}, 4), "opcode"),
        (b"\x80\x02ios\nsystem\n.", "INST"),
        (b"\x80\x02(cos\nsystem\no.", "OBJ"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02Pstorage\n.", "PERSID"),
        (b"\x80\x02ccollections\nOrderedDict.fromkeys\n.", "OrderedDict.fromkeys"),
        (b"\x80\x02cos\r\nsystem\n.", "system"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "2147483647"),  # a memo of 16 GB
        (b"\x80\x02}" + TUPLES + b"K\x01s.", "POP"),
        (b"\x80\x02}" + TUPLES.replace(b"0h", b"h") + b"K\x01s.", "anew"),  # 2^60 steps to hash
        (b"\x80\x02}K\x01q\x00q\x01h\x01\x86(eq\x02h\x02\x86K\x01s.", "anew"),  # as a tuple that no longer looks new
        (b"\x80\x02" + TENSOR + b"}X\x06\x00\x00\x00offsetJ\xff\xff\xff\x7fsb.", "sets the state of a BinTensor"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x04\x00\x00\x00callK\x01s\x86b.", "state of a Function"),
        (b"\x80\x02ctorch\nFloatStorage\n}X\x05\x00\x00\x00dtypeK\x01sb.", "state of a Kind"),
        (b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".", "state dict"),
        (b"\x80\x02" + b"(" * 200_000, "truncated"),
        (b"\x80\x02R.", "pickle"),
        (b"", "pickle"),
        (bytes(9 << 20), "data.pkl"),
        (pickled([tensor()]), "state dict"),
        (pickled({1: tensor()}), "state dict"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_pickle_that_is_none_of_tensors_is_refused_at_once(tmp_path, data, word):
    assert word in refusal(archive(tmp_path / "x.bin", data))


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (tensor(offset=1), "reaches to element 24 of a storage of 24"),
        (tensor(offset=-1), "none"),
        (tensor(strides=(-6, 1)), "none"),
        (tensor(shape=(1 << 62, 1 << 62), strides=(1 << 62, 1)), "reaches to"),
        (tensor(shape=(True, 6)), "none"),
        (tensor(shape=[4, 6]), "none"),
        (tensor(shape=(4,)), "none"),
        (tensor(storage="0"), "none"),
        (tensor(storage=Storage("storage", torch.FloatStorage, "0", "cpu", 25)), "too few for 25 elements"),
        (tensor(storage=Storage("storage", torch.FloatStorage, "0", "cpu", 1 << 38)), "too few for 274,877,906,944"),
        (tensor(storage=Storage("storage", torch.FloatStorage, "0", "cpu", -1)), "too few"),
        (tensor(storage=Storage("storage", torch.FloatStorage, "1", "cpu", 24)), "a storage"),
        (tensor(storage=Storage("storage", torch.FloatStorage, "../data.pkl", "cpu", 1)), "a storage"),
        (tensor(storage=Storage("module", torch.FloatStorage, "0", "cpu", 24)), "a storage"),
        (Call(torch._utils._rebuild_parameter, (1, 2), True, None), "parameter"),
        (Call(torch._tensor._rebuild_from_type_v2, torch._utils._rebuild_parameter, torch.Tensor, (), {}), "rebuilt"),
        (Call(torch.Tensor, 3), "torch.Tensor"),
    ],
)
def test_a_tensor_that_lies_outside_of_its_storage_is_refused(tmp_path, value, word):
    assert word in refusal(archive(tmp_path / "x.bin", pickled({"a": value})))


def test_the_older_format_is_refused_and_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile = {"a": Call(os.system, f"touch {MARK}")}
    torch.save(hostile, tmp_path / "x.bin", _use_new_zipfile_serialization=False)
    assert "torch.save (1.6 or newer)" in refusal(tmp_path / "x.bin")
    (tmp_path / "x.bin").write_bytes(pickle.dumps(hostile))
    assert "torch.save (1.6 or newer)" in refusal(tmp_path / "x.bin")
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize("name", ["../../outside", "/outside", "archive/data/../../../outside", "archive\\..\\outside"])
def test_a_path_that_leads_out_of_the_archive_is_refused_and_written_nowhere(tmp_path, name):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    path = archive(folder / "x.bin", pickled({"a": tensor()}))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(name, b"")
    assert "leads out of it" in refusal(path)
    assert [p.name for p in sorted(tmp_path.rglob("*"))] == ["a", "b", "x.bin"]


def test_a_file_that_is_no_whole_archive_is_refused(tmp_path):
    path = tmp_path / "x.bin"
    torch.save(TENSORS, path)
    saved = path.read_bytes()
    for data in (saved[:-100], saved[: len(saved) // 2], b"", b"\x00" * 1000, saved[1000:]):
        path.write_bytes(data)
        assert "copy it again" in refusal(path)
    torch.save(TENSORS, path, _use_new_zipfile_serialization=False)
    assert "torch.save (1.6 or newer)" in refusal(path)
    assert "compressed" in refusal(archive(path, pickled({}), zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/other", b"")
    assert "without data.pkl" in refusal(path)
    path.unlink()
    assert "No such file" in refusal(path)


def test_a_member_that_ends_behind_the_file_is_refused(tmp_path):
    path = archive(tmp_path / "x.bin", pickled({"a": tensor()}))
    saved = path.read_bytes()
    sizes = struct.pack("<II", 96, 96)  # of the storage, compressed and not; the last is in the central directory
    at = saved.rindex(sizes)
    path.write_bytes(saved[:at] + struct.pack("<II", 1 << 30, 1 << 30) + saved[at + 8 :])
    assert "ends behind" in refusal(path)
