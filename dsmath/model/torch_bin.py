"""PyTorch's .bin files, read without torch and without executing what is pickled in them.

Such a file is a zip archive: data.pkl says what tensors there are; data/0, data/1, ... are their storages, not packed.
The pickle is looked through first, opcode by opcode; then it is read by an unpickler that knows only the names that
tensors need, as functions of this file, and refuses every other by its name. Storages are mapped, and read in slices.
"""

import collections
import dataclasses
import functools
import io
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from dsmath.error import UserError

STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
MAX_PICKLE_BYTES = 8 << 20  # a 70B's is about 200 kB
# What torch.save writes (protocol 2). None of these makes an object but by a name that find_class knows.
OPCODES = {
    *("PROTO", "STOP", "MARK", "GLOBAL", "REDUCE", "NEWOBJ", "BUILD", "BINPERSID"),
    *("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("SETITEM", "SETITEMS", "APPEND", "APPENDS", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    *("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "NONE", "NEWTRUE", "NEWFALSE"),
}
REFERRED = {"BINUNICODE", "GLOBAL", "EMPTY_DICT", "EMPTY_LIST", "REDUCE", "BINPERSID"}  # what these made, again
LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip member: the lengths of its name and of its extra field


class _Refused(Exception):
    """Why a file isn't read, to be said with its path."""


class _Closed:
    """What a pickle may refer to, but not change: its opcode BUILD sets attributes, of frozen objects as well."""

    def __setstate__(self, state: object) -> None:
        raise _Refused(f"its pickle sets the state of a {type(self).__name__.strip('_')}, which tensors don't need")


@dataclasses.dataclass(frozen=True)
class _Kind(_Closed):
    """A type of storages."""

    dtype: np.dtype


@dataclasses.dataclass(frozen=True)
class _Function(_Closed):
    """What is called under a name of torch."""

    call: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)


@dataclasses.dataclass(frozen=True)
class _Storage(_Closed):
    path: Path
    offset: int  # bytes into the file
    count: int  # elements
    dtype: np.dtype


@dataclasses.dataclass(frozen=True)
class BinTensor(_Closed):
    """A tensor of a file: a view of a storage, which may hold more, and be of others as well."""

    storage: _Storage
    offset: int  # elements into the storage
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements

    @property
    def dtype(self) -> np.dtype:
        return self.storage.dtype

    def read(self, slices: tuple[slice, ...]) -> np.ndarray:
        """A part of it, mapped: the file's bytes are read where the values are used, and no others."""
        parts = [(s.start, s.stop - s.start) for s in slices]
        offset = self.offset + sum(start * stride for (start, _), stride in zip(parts, self.strides, strict=True))
        shape = tuple(size for _, size in parts)
        if 0 in shape:
            return np.empty(shape, self.dtype)
        span = 1 + sum((size - 1) * stride for size, stride in zip(shape, self.strides, strict=True))
        at = self.storage.offset + offset * self.dtype.itemsize
        mapped = np.memmap(self.storage.path, self.dtype, mode="r", offset=at, shape=(span,))
        strides = tuple(stride * self.dtype.itemsize for stride in self.strides)
        return np.lib.stride_tricks.as_strided(mapped, shape, strides, writeable=False)


def read_tensors(path: Path) -> dict[str, BinTensor]:
    """The tensors of a file by name, none of them read yet.

    Raises UserError for what isn't a whole file of torch.save, and for one that asks for more than tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            members = dict(_members(archive, file))
            pickled = next((name for name in members if name.endswith("/data.pkl")), None)
            if pickled is None:
                raise _Refused("it is a zip archive without data.pkl; expected one of torch.save")
            folder = pickled.removesuffix("data.pkl")
            if (order := f"{folder}byteorder") in members and archive.read(order) != b"little":
                raise _Refused("it is big-endian; expected the file of a little-endian machine")
            if members[pickled][1] > MAX_PICKLE_BYTES:
                raise _Refused(f"its data.pkl has {members[pickled][1]:,} bytes; expected one of a model's tensors")
            data = archive.read(pickled)
            _look_through(data)
            return _Unpickler(data, functools.partial(_find_storage, path, folder, members)).tensors()
    except _Refused as e:
        raise UserError(f"{path} is not read: {e}") from e
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, struct.error) as e:
        raise UserError(
            f"cannot read {path}: {_first_line(e)}; the file is truncated, or not of torch.save (1.6 or newer): "
            "copy it again"
        ) from e


def _members(archive: zipfile.ZipFile, file: io.BufferedReader) -> Iterator[tuple[str, tuple[int, int]]]:
    """Where the bytes of each member lie in the file: (offset, size)."""
    end = file.seek(0, io.SEEK_END)
    for info in archive.infolist():
        if info.filename.startswith(("/", "\\")) or ".." in info.filename.replace("\\", "/").split("/"):
            raise _Refused(f"{_plain(info.filename)} in it is a path that leads out of it")
        encrypted = info.flag_bits & 1
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or encrypted:
            raise _Refused(f"{_plain(info.filename)} in it is compressed; expected a file as torch.save writes it")
        file.seek(info.header_offset)
        offset = info.header_offset + LOCAL_HEADER.size + sum(LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size)))
        if offset + info.file_size > end:
            raise _Refused(f"{_plain(info.filename)} in it ends behind the file's end; copy it again")
        yield info.filename, (offset, info.file_size)


def _look_through(data: bytes) -> None:
    """Refuse what a pickle of tensors doesn't hold, before anything is made of it.

    An unpickler makes a table as long as the highest number of its memo. And tuples of tuples that are taken from the
    memo again and again take exponential time to hash.
    """
    referable: set[int] = set()
    before, count = "", 0
    for op, arg, _ in pickletools.genops(data):
        if op.name not in OPCODES:
            raise _Refused(f"its pickle has the opcode {op.name}, which tensors don't need")
        if op.name in ("BINPUT", "LONG_BINPUT"):
            if not isinstance(arg, int) or arg > count:
                raise _Refused(f"its pickle numbers an object {arg} after {count} others")
            count = max(count, arg + 1)
            (referable.add if before in REFERRED else referable.discard)(arg)
        elif op.name in ("BINGET", "LONG_BINGET") and arg not in referable:
            raise _Refused("its pickle refers to a tuple or a number anew, which tensors don't need")
        before = op.name


def _find_storage(path: Path, folder: str, members: dict[str, tuple[int, int]], id: Any) -> _Storage:
    """What stands for a storage in a pickle: ("storage", its type, the member, the device, the number of elements)."""
    match id:
        case ("storage", _Kind(dtype=dtype), str(key), str(), int(count)) if f"{folder}data/{key}" in members:
            offset, size = members[f"{folder}data/{key}"]
            if not 0 <= count * dtype.itemsize <= size:
                raise _Refused(f"storage {_plain(key)} has {size:,} bytes, too few for {count:,} elements of {dtype}")
            return _Storage(path, offset, count, dtype)
    raise _Refused("it has a storage that isn't of the kind that torch.save writes")


class _State(collections.OrderedDict):
    """Tensors by name. What is set on a state dict beside them (its `_metadata`) is of no use here."""

    def __setstate__(self, state: Any) -> None:
        pass


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> BinTensor:
    """`torch._utils._rebuild_tensor_v2`; what follows is about gradients."""
    tuples = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides)
    numbers = (offset, *shape, *strides) if tuples else (-1,)
    if not isinstance(storage, _Storage) or any(type(n) is not int or n < 0 for n in numbers):
        raise _Refused("it has a tensor whose storage, offset, shape and strides are none")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if 0 not in shape and last >= storage.count:
        raise _Refused(f"a tensor {list(shape)} reaches to element {last:,} of a storage of {storage.count:,}")
    return BinTensor(storage, offset, shape, strides)


def _rebuild_parameter(tensor: Any, *rest: Any) -> BinTensor:
    """`torch._utils._rebuild_parameter`; what follows is about gradients."""
    if not isinstance(tensor, BinTensor):
        raise _Refused("it has a parameter that is no tensor")
    return tensor


def _rebuild_from_type(rebuild: Any, kind: Any, args: Any, state: Any) -> BinTensor:
    """`torch._tensor._rebuild_from_type_v2`: a tensor with attributes, which are left out."""
    if rebuild is not KNOWN["torch._utils", "_rebuild_tensor_v2"] or not isinstance(args, tuple):
        raise _Refused("it has a tensor that is rebuilt by something else than _rebuild_tensor_v2")
    return _rebuild_tensor(*args)


def _no_instance(*args: Any) -> Any:
    """`torch.Tensor`, of which a pickle only says the name."""
    raise _Refused("it makes a torch.Tensor by itself; expected _rebuild_tensor_v2")


KNOWN: dict[tuple[str, str], _Kind | _Function] = {
    ("collections", "OrderedDict"): _Function(_State),
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): _Function(_rebuild_parameter),
    ("torch._tensor", "_rebuild_from_type_v2"): _Function(_rebuild_from_type),
    ("torch", "Tensor"): _Function(_no_instance),
    ("torch.nn.parameter", "Parameter"): _Function(_no_instance),
    **{("torch", name): _Kind(dtype) for name, dtype in STORAGES.items()},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, storage: Callable[[Any], _Storage]):
        super().__init__(io.BytesIO(data))
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise _Refused(f"its pickle asks for {_plain(f'{module}.{name}')}, which is no part of a tensor")
        return KNOWN[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        return self._storage(pid)

    def tensors(self) -> dict[str, BinTensor]:
        try:
            found = self.load()
        except (pickle.UnpicklingError, EOFError, TypeError, AttributeError, IndexError, KeyError, RecursionError) as e:
            raise _Refused(f"its pickle is none of a model's tensors ({_first_line(e)})") from e
        if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
            raise _Refused("its pickle is not a state dict, of tensors by name")
        return {name: tensor for name, tensor in found.items() if isinstance(tensor, BinTensor)}


def _plain(text: str) -> str:
    return text.encode("unicode_escape").decode()[:200]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
