"""`dsmath`, but for three things that a test says by the environment.

FAULTY_BATCH is the batch, counted from the start, whose weights aren't numbers; HEARTBEAT_S, how long a process may be
silent; SAVE_S, how long one waits for the others to write their part of a checkpoint.
"""

import itertools
import os

import numpy as np

from dsmath import runtime
from dsmath.cli import main
from dsmath.data.feed import pipeline
from dsmath.train import checkpoints

whole = pipeline.batches


def batches(*args, **kwargs):
    """The rows, one batch of which is broken."""
    rows, faulty = whole(*args, **kwargs), int(os.environ.get("FAULTY_BATCH", "0"))
    made, count = rows.__class__.__next__, itertools.count(1)

    class Broken:
        def __next__(self):
            batch = made(rows)
            if next(count) == faulty:
                batch = batch | {"weights": np.full_like(batch["weights"], np.nan)}
            return batch

        def __getattr__(self, name):
            return getattr(rows, name)

    return Broken()


if __name__ == "__main__":
    pipeline.batches = batches
    runtime.HEARTBEAT_S = int(os.environ.get("HEARTBEAT_S", runtime.HEARTBEAT_S))
    checkpoints.SAVE_S = int(os.environ.get("SAVE_S", checkpoints.SAVE_S))
    main.main()
