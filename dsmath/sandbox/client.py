"""Running model-written programs: the client of the zygotes (dsmath/sandbox/zygote.py).

    with Sandbox(limits) as sandbox:
        ran = sandbox.run("print(6 * 7)")
        future = sandbox.submit(code)  # future.cancel() kills it

A program gets a child process of its own, locked down before it starts. What is known about it is what it wrote to its
two pipes and what the kernel says of its end, so there is nothing that it could forge. Time is judged by CPU seconds,
and by elapsed seconds without those in which the program waited for a CPU, so that a busy host flips no score.
"""

import concurrent.futures
import contextlib
import dataclasses
import errno
import functools
import json
import os
import re
import selectors
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from dsmath import config
from dsmath.error import UserError
from dsmath.records import Exit, Ran
from dsmath.sandbox import child, levels, lockdown, zygote
from dsmath.sandbox.jobs import Job, ZygoteProcess
from dsmath.sandbox.zygote import Cause

SMALLEST_MEMORY_MB = 16  # beyond what the interpreter and its libraries take
AHEAD = 4  # programs per worker that `in_order` reads before their turn
MOST_WORKERS = 256  # each has two pipes; 1,024 descriptors are a common limit
TICK_S = 0.01  # between two readings of the output of programs that still run
STUCK_S = 60.0  # past every limit of a program, for a zygote to say so before it is taken for dead
# Programs that mention one of these go to the zygote that has numpy and SymPy loaded.
_HEAVY = re.compile(r"\b(?:numpy|sympy|mpmath|scipy|pandas|matplotlib|networkx|statsmodels|sklearn)\b")

T = TypeVar("T")


class Sandbox:
    """Runs programs, `limits.workers` at a time. Thread-safe. `close` kills what still runs."""

    def __init__(self, limits: config.Sandbox, *, lock_down: bool = True):
        """Starts a zygote and probes it. Raises UserError below `limits.required_level`, or where a limit is no limit.

        `lock_down=False` leaves out Landlock and seccomp, to measure what they cost.
        """
        _check(limits)
        self.limits = limits
        self._start_zygote = functools.partial(ZygoteProcess, limits, levels.around(limits), lock_down=lock_down)
        self._lock = threading.RLock()
        self._closed = False
        self._next_id = zygote.READY_ID + 1
        self._waiting: deque[Job] = deque()
        self._running: dict[int, Job] = {}
        self._ended: deque[tuple[concurrent.futures.Future[Ran], Ran]] = deque()
        self._zygotes: dict[str, ZygoteProcess] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, name="sandbox", daemon=True)
        self._thread.start()
        try:
            self.level = self._probe()
        except BaseException:
            self.close()
            raise

    def submit(self, code: str, *, replay: Sequence[str] = (), value: bool = False) -> concurrent.futures.Future[Ran]:
        """Queue a program. `replay` are earlier blocks that run first, in the same `__main__` and in silence.

        With `value`, a last statement that is an expression has its value printed, as a notebook does, unless it is
        None. The limits are for all blocks together.
        """
        program = json.dumps({"blocks": [*replay, code], "value": value}).encode()
        kind = "heavy" if any(_HEAVY.search(block) for block in (*replay, code)) else "light"
        with self._lock:
            if self._closed:
                raise RuntimeError("the sandbox is closed")
            job = Job(self._next_id, kind, program, concurrent.futures.Future(), self.limits.output_kb * 1024)
            self._next_id += 1
            self._waiting.append(job)
            self._start_waiting()
        self._deliver()
        job.future.add_done_callback(lambda future: self._cancel(job) if future.cancelled() else None)
        return job.future

    def run(self, code: str, *, replay: Sequence[str] = (), value: bool = False) -> Ran:
        """Run one program and wait for it."""
        return self.submit(code, replay=replay, value=value).result()

    def in_order(self, programs: Iterable[tuple[T, str]]) -> Iterator[tuple[T, Ran]]:
        """Run many programs, each with a name; they are taken from `programs` no more than AHEAD per worker ahead."""
        pending: deque[tuple[T, concurrent.futures.Future[Ran]]] = deque()
        for name, code in programs:
            pending.append((name, self.submit(code)))
            if len(pending) > AHEAD * self.limits.workers:
                first, future = pending.popleft()
                yield first, future.result()
        for name, future in pending:
            yield name, future.result()

    def close(self) -> None:
        """Kill what runs, cancel what waits. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            job.future.cancel()
            job.future.set_running_or_notify_cancel()
        self._wake()
        self._thread.join()
        for one in self._zygotes.values():
            one.close()
        for job in list(self._running.values()):
            self._complete(job, Exit.SANDBOX, stderr="the sandbox was closed")
        self._deliver()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _probe(self) -> dict[str, Any]:
        """What contains the programs, to be written next to their results."""
        with tempfile.NamedTemporaryFile(prefix="dsmath-probe-") as file:
            ran = self.run(levels.probe(file.name))
            if ran.exit is not Exit.OK:
                reason = _last_line(ran.stderr) or ran.exit
                raise UserError(
                    f"the sandbox does not start here at {self.limits.required_level}: {reason}; "
                    "dsmath doctor tries every level"
                )
            level, does = levels.judge(ran.stdout, self._zygotes["light"].process.pid)
        required = self.limits.required_level
        if required == levels.EXTERNAL:
            level = levels.EXTERNAL
        elif level < required:
            lacks = "; ".join(levels.missing()) or f"a program could {', '.join(does) or 'see files of the host'}"
            raise UserError(
                f"config.sandbox.required_level is {required}, this machine gives {level}: {lacks}; run elsewhere, or "
                f"let programs run with less around them: --config.sandbox.required_level={level}"
            )
        user = {"landlock_abi": lockdown.landlock_abi(), "uid": os.geteuid()}
        return {"level": level, **user, **dataclasses.asdict(self.limits)}

    # Jobs: waiting -> running -> complete. Every method below holds the lock where it touches them.

    def _start_waiting(self) -> None:
        """Hand programs to zygotes while there is room."""
        while self._waiting and len(self._running) < self.limits.workers and not self._closed:
            job = self._waiting.popleft()
            if job.future.cancelled():
                job.future.set_running_or_notify_cancel()
                continue
            try:
                if job.kind not in self._zygotes:
                    self._open(job.kind)
                job.start(self._zygotes[job.kind])
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):  # the zygote has enough to do, or has gone
                self._waiting.appendleft(job)
                return
            except OSError as e:
                if self._running and e.errno in (errno.EMFILE, errno.ENFILE, errno.ETOOMANYREFS):
                    self._waiting.appendleft(job)  # those that run give descriptors back
                    return
                self._complete(job, Exit.SANDBOX, stderr=f"no program can start: {e}")
                continue
            self._running[job.id] = job
            if len(self._running) == 1:
                self._wake()

    def _open(self, kind: str) -> None:
        try:
            one = self._start_zygote(kind)
        except BlockingIOError as e:  # no process can be had, which is no full socket
            raise OSError(f"{e.strerror} (a new process)") from e
        self._zygotes[kind] = one
        self._selector.register(one.client, selectors.EVENT_READ, kind)
        self._wake()

    def _cancel(self, job: Job) -> None:
        with self._lock:
            if job.id in self._running and job.zygote is not None and not self._closed:
                job.zygote.kill(job.id)

    def _complete(self, job: Job, exit: Exit, **values: Any) -> None:
        self._running.pop(job.id, None)
        stdout, stderr = job.close()
        ran = Ran(exit, stdout, stderr, 0.0, 0.0, 0, job.truncated)
        self._ended.append((job.future, dataclasses.replace(ran, **values)))

    def _deliver(self) -> None:
        """Complete futures; without the lock, because whoever waits for one may call anything."""
        while self._ended:
            with contextlib.suppress(IndexError):  # another thread was faster
                future, ran = self._ended.popleft()
                if future.set_running_or_notify_cancel():
                    future.set_result(ran)

    # The thread that reads.

    def _serve(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select(TICK_S if self._running else None):
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, 4096)
                else:
                    self._hear(key.data)
            with self._lock:
                self._read_outputs()
                self._start_waiting()
            self._deliver()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")

    def _hear(self, kind: str) -> None:
        """Take what a zygote says, until it says no more for now."""
        one = self._zygotes[kind]
        while True:
            try:
                reply = one.client.recv(zygote.REPLY.size, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionResetError:
                reply = b""
            with self._lock:
                if not reply:
                    self._bury(kind)
                    return
                id, cause, status, cpu_s, wall_s, peak_bytes = zygote.REPLY.unpack(reply)
                if id == zygote.READY_ID:
                    continue
                job = self._running[id]
                job.read()
                exit = _exit(Cause(cause), status, job.truncated)
                log = {"stderr": one.said()} if exit is Exit.SANDBOX else {}
                self._complete(job, exit, cpu_s=round(cpu_s, 4), wall_s=round(wall_s, 4), peak_bytes=peak_bytes, **log)
                self._start_waiting()
            self._deliver()

    def _bury(self, kind: str) -> None:
        """Fail the programs of a zygote that has gone; the next program starts another one."""
        one = self._zygotes.pop(kind)
        self._selector.unregister(one.client)
        log = one.close()
        for job in [job for job in self._running.values() if job.zygote is one]:
            self._complete(job, Exit.SANDBOX, stderr=log or "the sandbox's process was killed")

    def _read_outputs(self) -> None:
        """Take what programs wrote; end those that wrote too much, and zygotes that say nothing any more."""
        now = time.monotonic()
        longest = zygote.WALL_FACTOR * (self.limits.timeout_s or 0) + zygote.WALL_EXTRA_S + STUCK_S
        for job in self._running.values():
            if now - job.started < TICK_S or job.zygote is None:
                continue
            job.read()
            if job.truncated:
                job.zygote.kill(job.id)
            if now - job.started > longest:
                job.zygote.process.kill()


def _check(limits: config.Sandbox) -> None:
    for name in ("timeout_s", "memory_mb", "output_kb", "workers"):
        value = getattr(limits, name)
        if value is None or value <= 0:
            raise UserError(f"config.sandbox.{name} is {value}; expected more than 0")
    if limits.memory_mb < SMALLEST_MEMORY_MB:
        raise UserError(f"config.sandbox.memory_mb is {limits.memory_mb}; expected at least {SMALLEST_MEMORY_MB}")
    if limits.workers > MOST_WORKERS:
        raise UserError(f"config.sandbox.workers is {limits.workers}; expected at most {MOST_WORKERS}")
    if limits.required_level not in (*levels.LEVELS, levels.EXTERNAL):
        expected = ", ".join((*levels.LEVELS, levels.EXTERNAL))
        raise UserError(f"config.sandbox.required_level is {limits.required_level!r}; expected one of: {expected}")


def _last_line(text: str) -> str:
    return text.rpartition("\n")[2]


def _exit(cause: Cause, status: int, truncated: bool) -> Exit:
    """How a program ended, from why its zygote ended it, if it did, and the kernel's wait status."""
    if cause is Cause.SETUP:
        return Exit.SANDBOX
    if truncated:
        return Exit.OUTPUT
    if cause is not Cause.ITSELF:
        return {Cause.TIMEOUT: Exit.TIMEOUT, Cause.THREADS: Exit.MEMORY, Cause.CLIENT: Exit.SANDBOX}[cause]
    match os.waitstatus_to_exitcode(status):
        case 0:
            return Exit.OK
        case child.MEMORY_STATUS | -9:  # SIGKILL by the kernel: out of memory
            return Exit.MEMORY
        case -24:  # SIGXCPU
            return Exit.TIMEOUT
        case _:
            return Exit.ERROR
