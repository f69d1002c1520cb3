"""Processes that grade items under hard limits.

A worker is a fresh interpreter that runs dsmath/score/worker.py and speaks JSON lines. What exceeds the time limit is
killed, in C code too, without signals to this process, so that the pool works on any thread.
"""

import concurrent.futures
import dataclasses
import enum
import json
import os
import queue
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dsmath
from dsmath.error import UserError

START_S = 120.0  # for a worker to import SymPy and check its grader, on a busy machine


class Lost(enum.Enum):
    """Why an item has no reply."""

    TIMEOUT = "timeout"
    DIED = "died"  # killed from outside, out of memory, or crashed


class Pool:
    """Up to `workers` processes, started with `arguments`.

    Entering starts the first one, and raises UserError if it refuses.
    """

    def __init__(self, arguments: list[str], *, workers: int, timeout_s: float):
        self._arguments = [*arguments, str(timeout_s)]
        self._timeout_s = timeout_s
        self._threads = concurrent.futures.ThreadPoolExecutor(workers)
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()  # None: a worker to be started when needed
        for _ in range(workers):
            self._idle.put(None)

    def __enter__(self) -> "Pool":
        self._idle.get()
        self._idle.put(_Worker(self._arguments))
        return self

    def __exit__(self, *exc: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        while not self._idle.empty():
            if worker := self._idle.get():
                worker.kill()

    def submit(self, item: Any) -> "concurrent.futures.Future[dict[str, Any] | Lost]":
        """Have a dataclass instance graded; the future holds the worker's reply, or why there is none."""
        return self._threads.submit(self._ask, json.dumps(dataclasses.asdict(item)).encode() + b"\n")

    def _ask(self, request: bytes) -> dict[str, Any] | Lost:
        worker = self._idle.get()
        try:
            worker = worker or _Worker(self._arguments)
            reply = worker.ask(request, self._timeout_s)
            if isinstance(reply, Lost):
                worker.kill()
                worker = None
            return reply
        finally:
            self._idle.put(worker)


class _Worker:
    """One process and its pipes."""

    def __init__(self, arguments: list[str]):
        path = [str(Path(dsmath.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dsmath.score.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path),
                "PYTHONHASHSEED": "0",
            },  # SymPy's order depends on it
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None  # as asked for
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        started = self._read(START_S)
        if started == {}:
            return
        self.kill()
        if isinstance(started, Lost):
            raise UserError(
                f"a grading process did not start ({started.value}); try again with fewer workers or more memory"
            )
        raise UserError(started["error"])

    def ask(self, request: bytes, timeout_s: float) -> dict[str, Any] | Lost:
        try:
            view = memoryview(request)
            while view:
                view = view[self._stdin.write(view) :]
        except BrokenPipeError:
            return Lost.DIED
        return self._read(timeout_s)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._stdout.close()

    def _read(self, timeout_s: float) -> dict[str, Any] | Lost:
        """The next line of the worker as JSON."""
        deadline = time.monotonic() + timeout_s
        pieces = []
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                piece = self._stdout.read(1 << 20)
                if not piece:
                    return Lost.DIED
                pieces.append(piece)
                if piece.endswith(b"\n"):
                    return json.loads(b"".join(pieces))
        return Lost.TIMEOUT
