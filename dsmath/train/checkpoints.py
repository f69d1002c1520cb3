"""Checkpoints: everything a run needs to go on, in `WORKDIR/checkpoints/<step>/`, written by Orbax in the background.

A checkpoint holds the parameters, the optimizer's state, the step and the data iterator; no random state exists, and
the config with its seed stands in WORKDIR/config.json. It appears whole or not at all, so that a run may be killed at
any moment.
"""

import grain
import jax
import orbax.checkpoint as ocp

from dsmath.data.pipeline import Rows
from dsmath.error import UserError
from dsmath.model.checkpoint import damage, disk_errors
from dsmath.runs import Run
from dsmath.train.step import TrainState


class Checkpoints:
    """The checkpoints of one run; a context."""

    def __init__(self, run: Run, *, keep: int):
        self._folder = run.checkpoints.absolute()
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
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
                    iterator=grain.checkpoint.CheckpointSave(rows),
                    run=ocp.args.JsonSave({"processes": jax.process_count()}),
                ),
            )

    def check(self, step: int) -> None:
        """Raise UserError if the run was started with another number of processes."""
        with damage(self._folder / str(step)):
            run = self._manager.restore(step, args=ocp.args.Composite(run=ocp.args.JsonRestore()))["run"]
        if run["processes"] != jax.process_count():
            raise UserError(
                f"{self._folder} was written by {run['processes']} processes, now there are {jax.process_count()}; "
                "the data is dealt out by process: use as many, or another --workdir"
            )

    def restore(self, step: int, abstract: TrainState, rows: Rows) -> TrainState:
        """The state of a step, with the shardings of `abstract`; `rows` is set to go on behind it."""
        with damage(self._folder / str(step)):
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardRestore(abstract.params),
                    optimizer=ocp.args.StandardRestore({"step": abstract.step, "opt_state": abstract.opt_state}),
                    iterator=grain.checkpoint.CheckpointRestore(rows),
                ),
            )
        return TrainState(restored["optimizer"]["step"], restored["params"], restored["optimizer"]["opt_state"])

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exc: object) -> None:
        """Wait for the last save to be on disk."""
        with disk_errors(self._folder):
            self._manager.wait_until_finished()
            self._manager.close()
