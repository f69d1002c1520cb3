"""Where files lie: on a file system, or on `gs://`, through etils and gcsfs.

Importing this module does not import jax.
"""

import contextlib
import importlib.util
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from etils import epath

from dsmath.error import UserError


def path(name: str | os.PathLike) -> Path:
    """A path as users write them: local, or `gs://bucket/run`. Both have the methods of `pathlib.Path`.

    Raises UserError where what gs:// needs is not installed.
    """
    found = epath.Path(os.fspath(name))
    if not is_local(found):
        _prepare_gs(found)
    return found


def is_local(path: Path) -> bool:
    """Whether a path is of a file system. On gs:// a file is written whole and not locked, and folders don't move."""
    return not os.fspath(path).startswith("gs://")


def _prepare_gs(path: Path) -> None:
    """Have gcsfs serve gs://, also where TensorFlow could, and see at once what other processes write."""
    if importlib.util.find_spec("gcsfs") is None:
        raise UserError(
            f"{path} needs the package gcsfs; install it by pip install 'dsmath[gcs]', or name a local folder"
        )
    import fsspec

    os.environ["EPATH_USE_TF"] = "false"
    fsspec.config.conf.setdefault("gcs", {})["use_listings_cache"] = False


def absolute(path: Path) -> Path:
    """A path that doesn't depend on the folder that the process is in."""
    return path.absolute() if is_local(path) else path


def cache() -> Path:
    """The user's folder for what can be had again."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dsmath"


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, local or not. Raises FileNotFoundError if it isn't there."""
    epath.Path(folder).rmtree()


@contextlib.contextmanager
def build_folder(folder: Path) -> Iterator[Path]:
    """An empty local folder to build in: this one, or for one on gs:// a temporary one. In the end it is removed."""
    place = folder if is_local(folder) else Path(tempfile.mkdtemp(prefix="dsmath-"))
    try:
        with contextlib.suppress(FileNotFoundError):
            remove_folder(place)
        place.mkdir(parents=True)
        yield place
    finally:
        with contextlib.suppress(FileNotFoundError):
            remove_folder(place)


@contextlib.contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A local path to write a file to, which then goes to where it belongs, also on gs://: whole or not at all.

    Raises UserError if the disk doesn't take it.
    """
    if is_local(file):
        temporary = file.with_name(f"{file.name}.{uuid.uuid4().hex}.tmp")  # hosts may share the folder
    else:
        temporary = Path(tempfile.mkdtemp(prefix="dsmath-")) / file.name
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if is_local(file):
            os.replace(temporary, file)
        else:
            copy_file(temporary, file)
    except OSError as e:
        raise UserError(f"cannot write {file}: {e.strerror or e}; free some space or choose another place") from e
    finally:
        temporary.unlink(missing_ok=True)


class Mirror:
    """A folder for what writes local files alone: `local` is the folder itself or, for one on gs://, a temporary one,
    whose files `copy` and `close` copy there.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._temporary = None if is_local(folder) else tempfile.TemporaryDirectory(prefix="dsmath-")
        self.local = folder if self._temporary is None else Path(self._temporary.name)
        self.local.mkdir(parents=True, exist_ok=True)

    def copy(self) -> None:
        """Have the files where others read them."""
        if self._temporary is not None:
            copy_folder(self.local, self._folder)

    def close(self) -> None:
        """`copy`, for the last time."""
        if self._temporary is not None:
            with self._temporary:
                self.copy()


def move_folder(folder: Path, target: Path) -> None:
    """Move a local folder to where it replaces another one; to gs:// file by file, which a kill may cut short."""
    with contextlib.suppress(FileNotFoundError):
        remove_folder(target)
    if is_local(target):
        os.replace(folder, target)
    else:
        copy_folder(folder, target)
        remove_folder(folder)


def copy_folder(folder: Path, target: Path) -> None:
    """Copy the files of a local folder, with those below it, into another one, local or not."""
    for file in sorted(Path(folder).rglob("*")):
        if file.is_file():
            copy_file(file, target / file.relative_to(folder))


def copy_file(file: Path, target: Path) -> None:
    """Copy a file, from and to wherever."""
    if is_local(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with file.open("rb") as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 24)
