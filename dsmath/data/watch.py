"""How far a preparation is: bars of the shards that are there, on a terminal."""

import contextlib
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import rich.console
import rich.progress

POLL_S = 0.5


@contextlib.contextmanager
def bars(stages: Mapping[str, Sequence[Path]]) -> Iterator[None]:
    """Show how many of each stage's files there are, while the `with` makes them. Without a terminal, nothing."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    with rich.progress.Progress(
        *("{task.description}", rich.progress.BarColumn(), rich.progress.MofNCompleteColumn(), "shards"),
        rich.progress.TimeElapsedColumn(),
        console=rich.console.Console(stderr=True),
        transient=True,
    ) as progress:
        tasks = {name: progress.add_task(name, total=len(paths)) for name, paths in stages.items()}

        def watch() -> None:
            while not done.wait(POLL_S):
                for name, paths in stages.items():
                    progress.update(tasks[name], completed=sum(path.exists() for path in paths))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
