"""Whether a run still learns: a loss that isn't finite, or leaps, stops it, and the batch that did it is kept."""

import io
import math
import statistics
from collections import deque
from collections.abc import Mapping

import numpy as np

from dsmath import journal, runtime
from dsmath.error import UserError
from dsmath.runs import Run

WINDOW = 32  # steps whose median loss a leap is told by
FEWEST = 8  # steps before which nothing counts as a leap


class Health:
    """Looks at each step's record before a checkpoint could hold what it did.

    A loss of more than `leap` times the median of the last WINDOW steps is one too many; None lets losses leap.
    """

    def __init__(self, run: Run, *, start: int, leap: float | None):
        self._run = run
        self._leap = leap
        before = journal.read(run.metrics) if run.metrics.exists() else ()
        losses = [record["loss"] for record in before if record["step"] <= start]
        self._losses = deque(losses[-WINDOW:], maxlen=WINDOW)
        self._batches: deque[tuple[int, Mapping[str, np.ndarray]]] = deque(maxlen=2)  # the record comes a step later

    def trains_on(self, step: int, batch: Mapping[str, np.ndarray]) -> None:
        """Remember what a step was made of."""
        self._batches.append((step, batch))

    def check(self, record: Mapping[str, float]) -> None:
        """Raise UserError where a step's loss or gradient is not finite, or its loss leaps.

        Its batch is then in WORKDIR/bad_batch.npz; what was trained since the last checkpoint is given up.
        """
        loss, norm = record["loss"], record["grad_norm"]
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._stop(record, "expected finite numbers", "begin anew at a smaller learning rate")
        usual = statistics.median(self._losses) if len(self._losses) >= FEWEST else math.inf
        if self._leap is not None and loss > self._leap * usual:
            expected = f"expected at most {self._leap} times the median before it, {usual:.4g}"
            self._stop(record, expected, "begin anew at a smaller learning rate, or raise config.train.leap")
        self._losses.append(loss)

    def _stop(self, record: Mapping[str, float], expected: str, way_out: str) -> None:
        step = int(record["step"])
        batch = next((batch for number, batch in self._batches if number == step), None)
        if batch is not None and runtime.is_first():
            packed = io.BytesIO()
            np.savez_compressed(packed, allow_pickle=False, step=np.int64(step), **batch)
            self._run.bad_batch.write_bytes(packed.getvalue())
        raise UserError(
            f"step {step} has loss {record['loss']:.4g} and gradient norm {record['grad_norm']:.4g}; {expected}; its "
            f"batch is in {self._run.bad_batch}, the last good checkpoint stays: look at it, and {way_out}"
        )
