"""Traces of a few steps, for xprof: `xprof --logdir WORKDIR/profile`, or TensorBoard's profile tab."""

from typing import Any

import jax

from dsmath.runs import Run

STEPS = 3  # that are traced: one could be the one that a checkpoint delays


class Trace:
    """Traces the steps from `first` on; None traces none. A context."""

    def __init__(self, run: Run, first: int | None):
        self._folder = str(run.profile)
        self._first = first
        self._tracing = False

    def before(self, step: int) -> None:
        """To be called before a step is dispatched."""
        if step == self._first:
            jax.profiler.start_trace(self._folder)
            self._tracing = True

    def after(self, step: int, result: Any) -> None:
        """To be called with what a step gave; waits for it after the last one."""
        if self._tracing and self._first is not None and step == self._first + STEPS - 1:
            jax.block_until_ready(result)
            self._stop()

    def _stop(self) -> None:
        if self._tracing:
            jax.profiler.stop_trace()
            self._tracing = False

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *exc: object) -> None:
        """End a trace that the run's end cuts short."""
        self._stop()
