"""The parameters of a run's checkpoint, as `dsmath.train` writes it: Orbax, in WORKDIR/checkpoints/STEP/params."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from dsmath import storage
from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model import decoder
from dsmath.runs import Run
from dsmath.sharding import Rules, shardings

PARAMS = "params"  # the item of a checkpoint


def latest_step(run: Run) -> int | None:
    """The step of the last whole checkpoint of a run, None if there is none."""
    return max(ocp.utils.checkpoint_steps(run.checkpoints), default=None) if run.checkpoints.is_dir() else None


def restore(run: Run, step: int, arch: Arch, mesh: jax.sharding.Mesh, rules: Rules) -> decoder.Params:
    """The parameters (f32, layers stacked) of a step, placed on a mesh by `rules`.

    The mesh is of this process's devices: each process reads by itself what they need. Raises UserError if there is no
    such checkpoint, if it is damaged, or is not of this architecture.
    """
    folder = storage.absolute(run.checkpoints) / str(step)
    if not folder.is_dir():
        raise UserError(f"no checkpoint of step {step} in {folder.parent}; train first, or name another --workdir")
    abstract = jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        decoder.abstract(arch),
        shardings(decoder.axes(arch), mesh, rules),
    )
    alone = ocp.options.MultiprocessingOptions(primary_host=None, active_processes={jax.process_index()})
    with damage(folder), ocp.StandardCheckpointer(multiprocessing_options=alone) as checkpointer:
        require_fit(abstract, checkpointer.metadata(folder / PARAMS).item_metadata.tree, folder)
        return checkpointer.restore(folder / PARAMS, abstract)


def require_fit(wanted: decoder.Params, stored: decoder.Params, folder: Path) -> None:
    """Raise UserError with the first parameter that a checkpoint has in another shape, or not at all."""
    ours, theirs = (
        {jax.tree_util.keystr(path, simple=True, separator="."): x.shape for path, x in _leaves(tree)}
        for tree in (wanted, stored)
    )
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            there, here = ("missing" if shape is None else list(shape) for shape in (theirs.get(name), ours.get(name)))
            raise UserError(
                f"{folder}: parameter {name} is {there}, but config.model makes it {here}; expected the config that "
                "the run was trained with"
            )


@contextlib.contextmanager
def damage(folder: Path, what: str | None = None, way_out: str | None = None) -> Iterator[None]:
    """Say in one line that a checkpoint, by default one of a run, can't be read, and how to go on."""
    what = what or f"the checkpoint of step {folder.name} in {folder}"
    way_out = way_out or "go on from an earlier one: remove that folder, or name its step with --step"
    try:
        yield
    except UserError:
        raise
    except Exception as e:  # Orbax raises ValueError, KeyError, OSError, and for torn arrays Exception itself
        reason = (str(e).strip().splitlines() or [type(e).__name__])[0].partition("[")[0].strip(" :,")
        raise UserError(f"{what} is damaged ({reason[:120]}); {way_out}") from e


@contextlib.contextmanager
def disk_errors(folder: Path, flag: str = "--workdir") -> Iterator[None]:
    """Say in one line that the disk is full or the folder, which `flag` names, can't be written."""
    try:
        yield
    except OSError as e:
        raise UserError(f"cannot write {folder}: {e.strerror or e}; free some space or choose another {flag}") from e
    except ValueError as e:
        if "os_error_code" not in str(e):  # how tensorstore, which writes the arrays, marks errors of the system
            raise
        reason = str(e).splitlines()[0].partition("[os_error_code")[0].rpartition(": ")[2].strip()
        raise UserError(f"cannot write {folder}: {reason}; free some space or choose another {flag}") from e


def _leaves(tree: decoder.Params) -> list[tuple]:
    return jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))
