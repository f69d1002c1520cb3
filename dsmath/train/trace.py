"""Traces of a few steps, for xprof: `xprof --logdir WORKDIR/profile`, or TensorBoard's profile tab."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from dsmath import storage
from dsmath.runs import Run

STEPS = 3  # that are traced: one could be the one that a checkpoint delays


class Trace:
    """Traces the steps from `first` on; None traces none. A context."""

    def __init__(self, run: Run, first: int | None):
        self._folder = run.profile
        self._first = first
        self._tracing = contextlib.ExitStack()  # empty while nothing is traced

    def before(self, step: int) -> None:
        """To be called before a step is dispatched."""
        if step == self._first:
            self._tracing.enter_context(_traced(self._folder))

    def after(self, step: int, result: Any) -> None:
        """To be called with what a step gave; waits for it after the last one."""
        if self._first is not None and step == self._first + STEPS - 1:
            jax.block_until_ready(result)
            self._tracing.close()

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *exc: object) -> None:
        """End a trace that the run's end cuts short."""
        self._tracing.close()


@contextlib.contextmanager
def _traced(folder: Path) -> Iterator[None]:
    """A trace, which jax writes to local folders alone."""
    with contextlib.closing(storage.Mirror(folder)) as mirror, jax.profiler.trace(str(mirror.local)):
        yield
