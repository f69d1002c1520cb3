"""What a run reports: `metrics.jsonl` and TensorBoard, one line per step, and model FLOP utilisation."""

import os
import time
from pathlib import Path

import jax
import numpy as np
import optax
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from dsmath import chips, journal
from dsmath.config import Arch
from dsmath.runs import Run
from dsmath.train.step import Metrics


def flops_per_token(arch: Arch, row_length: int) -> float:
    """Forward and backward FLOPs of one token: 6 per matrix parameter (the head counts, the lookup of the embedding
    does not), and causal attention over a whole row, half of 12 L N H T. Recomputation is not counted.
    """
    D, F, H, L = arch.hidden_size, arch.intermediate_size, arch.head_dim, arch.num_layers
    layer = 2 * D * arch.num_heads * H + 2 * D * arch.num_kv_heads * H + 3 * D * F
    return 6 * (L * layer + arch.vocab_size * D) + 6 * L * arch.num_heads * H * row_length


class Recorder:
    """Writes the metrics of a step when the next one is under way, so that the host never waits for the device.

    Several processes know the same metrics; the first one writes them.

    Opening it drops what an interrupted run had written after step `start`, from which it goes on.
    """

    def __init__(self, run: Run, *, start: int, arch: Arch, shape: tuple[int, int], rate: optax.Schedule):
        self.last: dict[str, float] = {}  # the last record
        self._journal = self._board = None
        if jax.process_index() == 0:
            self.last = _drop_after(run.metrics, start)
            self._journal = journal.Journal(run.metrics)
            # The plain writer: SummaryWriter's thread dies on a full disk, and its queue then blocks the run for good.
            run.tensorboard.mkdir(exist_ok=True)
            self._board = EventsWriter(str(run.tensorboard / "events"), f".{os.getpid()}")
            restart = SessionLog(status=SessionLog.START)  # TensorBoard forgets what it had from this step on
            self._board.write_event(Event(wall_time=time.time(), step=start + 1, session_log=restart))
        self._slots = shape[0] * shape[1]
        self._rate = rate
        chip = chips.of_kind(jax.devices()[0].device_kind)
        self._mfu_of = chip and flops_per_token(arch, shape[1]) / (chip.peak_flops * jax.device_count())
        self._pending: tuple[int, Metrics] | None = None
        self._clock = time.perf_counter()

    def step(self, step: int, metrics: Metrics) -> None:
        """Take the metrics of a step that was dispatched, and write those of the one before."""
        if self._pending is None:  # the first, or the first after a checkpoint: what came before is no step
            self._clock = time.perf_counter()
        self.flush()
        self._pending = (step, metrics)

    def flush(self) -> None:
        """Write what is pending; waits for the device."""
        if self._pending is None:
            return
        (step, metrics), self._pending = self._pending, None
        metrics = jax.device_get(metrics)
        seconds, self._clock = time.perf_counter() - self._clock, time.perf_counter()
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
        }
        if self._mfu_of is not None:
            record["mfu"] = self._slots / seconds * self._mfu_of
        self.last = record
        if self._journal is not None and self._board is not None:
            self._journal.append(record)
            scalars = [Summary.Value(tag=name, simple_value=value) for name, value in record.items() if name != "step"]
            self._board.write_event(Event(wall_time=time.time(), step=step, summary=Summary(value=scalars)))

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, error: type | None, *rest: object) -> None:
        """Write what is pending, unless the step itself failed, and close the files."""
        if error is None:
            self.flush()
        if self._journal is not None and self._board is not None:
            self._journal.close()
            self._board.close()


def _drop_after(path: Path, step: int) -> dict[str, float]:
    """Cut the records after a step off a journal, whose last one is returned."""
    if not path.exists():
        return {}
    kept = [record for record in journal.read(path) if record["step"] <= step]
    journal.write(path, map(journal.line, kept))
    return kept[-1] if kept else {}
