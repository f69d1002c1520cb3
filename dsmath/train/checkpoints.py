"""Checkpoints: everything a run needs to go on, in `WORKDIR/checkpoints/<step>/`, written by Orbax in the background.

A checkpoint holds the parameters, the optimizer's state, the step and the state of the data; no random state exists,
and the config with its seed stands in WORKDIR/config.json. It appears whole or not at all, so that a run may be killed
at any moment. Every process writes what its devices hold; any number of processes reads it, onto any mesh.
"""

import logging

import jax
import orbax.checkpoint as ocp

from dsmath import storage
from dsmath.data.feed.pipeline import Rows
from dsmath.error import Preempted, UserError
from dsmath.model.checkpoint import damage, disk_errors
from dsmath.runs import Run
from dsmath.train.step import TrainState

log = logging.getLogger(__name__)

SAVE_S = 600  # for which a process that has written its part waits for the others': where one fails, they can't tell
LATE_S = 1800  # for which a process waits for the others to load and compile


def wait_for_all(name: str) -> None:
    """Until every process has come to the place of this name: a collective gives up on one that is late by half a
    minute.
    """
    everyone = set(range(jax.process_count()))
    ocp.multihost.sync_global_processes(f"dsmath:{name}", timeout=LATE_S, processes=everyone)


class Checkpoints:
    """The checkpoints of one run; a context. The last `keep` stay, and for good those of each `keep_every` steps."""

    def __init__(self, run: Run, *, keep: int, keep_every: int | None = None):
        self._folder = storage.absolute(run.checkpoints)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            keep_period=keep_every,
            cleanup_tmp_directories=True,
            async_options=ocp.AsyncOptions(timeout_secs=SAVE_S),
        )
        with disk_errors(self._folder):
            self._manager = ocp.CheckpointManager(self._folder, options=options)

    def latest(self) -> int | None:
        """The step of the last whole checkpoint."""
        return self._manager.latest_step()

    def reached_preemption(self, step: int) -> bool:
        """Whether the cluster announced to some process that it will be stopped. All processes agree on the step."""
        return self._manager.reached_preemption(step)

    def save(self, step: int, state: TrainState, rows: Rows) -> None:
        """Start writing a checkpoint. Returns when the device memory has been copied; the disk follows."""
        with disk_errors(self._folder):
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardSave(state.params),
                    optimizer=ocp.args.StandardSave({"step": state.step, "opt_state": state.opt_state}),
                    rows=ocp.args.JsonSave(rows.get_state()),
                ),
            )

    def restore(self, step: int, abstract: TrainState, rows: Rows) -> TrainState:
        """The state of a step, with the shardings of `abstract`; `rows` is set to go on behind it."""
        with damage(self._folder / str(step)):
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardRestore(abstract.params),
                    optimizer=ocp.args.StandardRestore({"step": abstract.step, "opt_state": abstract.opt_state}),
                    rows=ocp.args.JsonRestore(),
                ),
            )
        rows.set_state(restored["rows"])
        return TrainState(restored["optimizer"]["step"], restored["params"], restored["optimizer"]["opt_state"])

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, error: type[BaseException] | None, *rest: object) -> None:
        """Wait for the last save to be on disk, unless processes that it needs may be gone.

        Where a run ends by an error already, what becomes of that save is told, and is not what the run ends by.
        """
        if error is not None and issubclass(error, jax.errors.JaxRuntimeError):
            return
        try:
            with disk_errors(self._folder):
                self._manager.wait_until_finished()
                self._manager.close()
        except (UserError, jax.errors.JaxRuntimeError) as e:
            if error is None or issubclass(error, Preempted):  # which says that the step is saved
                raise
            log.warning("the last checkpoint is not whole: %s", str(e).splitlines()[0])
