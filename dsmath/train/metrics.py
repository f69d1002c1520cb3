"""What a run reports: `metrics.jsonl` and TensorBoard, one line per step.

`mfu`, the model FLOP utilisation, is the FLOPs of a step by `flops_per_token` over what the devices could have computed
meanwhile; padding counts as computed. `goodput` is the time in steps that count, over all time in which the run was
under way (`under_way_s`): starting, compiling, restoring, saving, evaluating, and steps that were lost and done again
take from it. What passes between a kill and the next start is unknown, and counts nowhere.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import optax
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from dsmath import chips, journal, storage
from dsmath.config import Arch
from dsmath.model.checkpoint import disk_errors
from dsmath.runs import Run
from dsmath.train.step import Metrics


def flops_per_token(arch: Arch, row_length: int) -> float:
    """Forward and backward FLOPs of one token: 6 per matrix parameter (the head counts, the lookup of the embedding
    does not), and attention over a whole row, 12 L N H for each key that is seen. Recomputation is not counted.
    """
    D, F, H, L = arch.hidden_size, arch.intermediate_size, arch.head_dim, arch.num_layers
    layer = 2 * D * arch.num_heads * H + 2 * D * arch.num_kv_heads * H + 3 * D * F
    return 6 * (L * layer + arch.vocab_size * D) + 12 * L * arch.num_heads * H * keys_seen(arch, row_length)


def keys_seen(arch: Arch, row_length: int) -> float:
    """Keys that a query of a whole row sees on average: half of the row, or less with a window."""
    window = min(arch.window or row_length, row_length)
    return window * (1 - window / (2 * row_length))


class Recorder:
    """Writes the metrics of a step when the next one is under way, so that the host never waits for the device.

    Several processes know the same metrics; the first one writes them.

    Opening it drops what an interrupted run had written after step `start`, from which it goes on.
    """

    def __init__(self, run: Run, *, start: int, arch: Arch, shape: tuple[int, int], rate: optax.Schedule):
        self.last: dict[str, float] = {}  # the last record
        self._opened = time.perf_counter()
        self._kept_s = self._before_s = 0.0  # of steps that count, and in which the run was under way until now
        self._journal = self._board = None
        if jax.process_index() == 0:
            kept, self._before_s = _drop_after(run.metrics, start)
            self.last = kept[-1] if kept else {}
            self._kept_s = sum(record["seconds"] for record in kept)
            self._journal = journal.Journal(run.metrics)
            # The plain writer: SummaryWriter's thread dies on a full disk, and its queue then blocks the run for good.
            self._events = storage.Mirror(run.tensorboard)
            self._board = EventsWriter(str(self._events.local / "events"), f".{os.getpid()}")
            restart = SessionLog(status=SessionLog.START)  # TensorBoard forgets what it had from this step on
            self._board.write_event(Event(wall_time=time.time(), step=start + 1, session_log=restart))
        self._slots = shape[0] * shape[1]
        self._rate = rate
        chip = chips.of_kind(jax.devices()[0].device_kind)
        self._mfu_of = chip and flops_per_token(arch, shape[1]) / (chip.peak_flops * jax.device_count())
        self._pending: tuple[int, Metrics] | None = None
        self._clock = time.perf_counter()

    def step(self, step: int, metrics: Metrics) -> dict[str, float] | None:
        """Take the metrics of a step that was dispatched; write those of the one before, and return its record."""
        if self._pending is None:  # the first, or the first after a checkpoint: what came before is no step
            self._clock = time.perf_counter()
        record = self._write()
        self._pending = (step, metrics)
        return record

    def flush(self) -> dict[str, float] | None:
        """Write what is pending, have all of it where others read it, and return its record; waits for the device."""
        record = self._write()
        if self._journal is not None and self._board is not None:
            self._journal.sync()
            with disk_errors(self._events.local):
                self._board.flush()
                self._events.copy()
        return record

    def _write(self) -> dict[str, float] | None:
        if self._pending is None:
            return None
        (step, metrics), self._pending = self._pending, None
        metrics = jax.device_get(metrics)
        now = time.perf_counter()
        seconds, self._clock = now - self._clock, now
        self._kept_s += seconds
        under_way_s = self._before_s + now - self._opened
        tokens, trained = int(metrics.tokens), int(metrics.trained_tokens)
        record = {
            "step": step,
            "loss": float(metrics.loss),
            "grad_norm": float(metrics.grad_norm),
            "learning_rate": float(self._rate(np.int32(step - 1))),
            "trained_tokens": trained,
            "packing_efficiency": tokens / self._slots,
            "seconds": seconds,
            "tokens_per_second": tokens / seconds,
            "trained_tokens_per_second": trained / seconds,
            "under_way_s": under_way_s,
            "goodput": self._kept_s / under_way_s,
        }
        if self._mfu_of is not None:
            record["mfu"] = self._slots / seconds * self._mfu_of
        self.last = record
        if self._journal is not None:
            self._journal.append(record)
        self.curves(step, {name: value for name, value in record.items() if name != "step"})
        return record

    def curves(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to TensorBoard's curves of these names."""
        if self._board is not None:
            scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
            with disk_errors(self._events.local):
                self._board.write_event(Event(wall_time=time.time(), step=step, summary=Summary(value=scalars)))

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, error: type | None, *rest: object) -> None:
        """Write what is pending, unless the step itself failed, and close the files."""
        if error is None:
            self.flush()
        if self._journal is not None and self._board is not None:
            self._journal.close()
            with disk_errors(self._events.local):
                self._board.close()
                self._events.close()


def _drop_after(path: Path, step: int) -> tuple[list[dict[str, float]], float]:
    """Cut the records after a step off a journal: those that stay, and the seconds that the run was under way."""
    if not path.exists():
        return [], 0.0
    records = list(journal.read(path))
    kept = [record for record in records if record["step"] <= step]
    journal.write(path, map(journal.line, kept))
    return kept, max((record.get("under_way_s", 0.0) for record in records), default=0.0)
