"""How far a run is, for whoever watches: a bar on a terminal, else a line now and then."""

import datetime
import logging
import statistics
import sys
import time
from collections import deque
from collections.abc import Mapping

import rich.console
import rich.progress

log = logging.getLogger(__name__)

LINE_EVERY_S = 30.0  # in a log
RECENT = 20  # steps whose median time the rest is reckoned by


class Progress:
    """Shows the records of steps; a context. `shown` is false in all processes of a run but one."""

    def __init__(self, steps: int, *, start: int, shown: bool):
        self._steps, self._shown = steps, shown
        self._seconds: deque[float] = deque(maxlen=RECENT)
        self._line_at = time.monotonic()  # the first line comes with the first step
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            console=rich.console.Console(stderr=True),
            disable=not (shown and sys.stderr.isatty()),
        )
        self._task = self._bar.add_task("train", total=steps, completed=start)

    def show(self, record: Mapping[str, float]) -> None:
        """A step is done."""
        self._seconds.append(record["seconds"])
        said = self._describe(record)
        self._bar.update(self._task, completed=int(record["step"]), description=said)
        if self._shown and self._bar.disable and time.monotonic() >= self._line_at:
            log.info("step %d of %d  %s", record["step"], self._steps, said)
            self._line_at = time.monotonic() + LINE_EVERY_S

    def _describe(self, record: Mapping[str, float]) -> str:
        left_s = (self._steps - record["step"]) * statistics.median(self._seconds)
        parts = [
            f"loss {record['loss']:.3f}",
            f"{record['trained_tokens_per_second']:,.0f} trained tokens/s",
            *([f"MFU {record['mfu']:.1%}"] if "mfu" in record else []),
            f"goodput {record['goodput']:.0%}",
            f"{datetime.timedelta(seconds=round(left_s))} left",
        ]
        return "  ".join(parts)

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()
