"""Running model-written programs: one fresh interpreter each, under limits.

Level L0: a process in a session of its own, resource limits, CPU and wall timers, capped output, scrubbed environment,
temporary folder, and an audit hook against processes, signals and sockets. It holds off accidents, not attackers: a
program can read what the user can read, and C code gets past the hook.
"""

import concurrent.futures
import dataclasses
import enum
import os
import selectors
import signal
import site
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from dsmath import config
from dsmath.error import UserError
from dsmath.tool import child

WALL_FACTOR, WALL_EXTRA_S = 3.0, 2.0  # programs are judged by CPU time; the wall clock ends those that wait
SMALLEST_MEMORY_MB = 64  # of address space; the interpreter alone takes about 20
DRAIN_S = 0.2  # wait for the end of the output of a dead program
READ_BYTES = 65536
# No site (-S: its .pth files triple the start-up; the folders are passed on instead), no user site, no script folder on
# the path, no bytecode written, UTF-8, tracebacks without markers under the source.
PYTHON_FLAGS = ("-S", "-s", "-P", "-B", "-X", "utf8", "-X", "no_debug_ranges")


class Exit(enum.StrEnum):
    """How a program ended."""

    OK = "ok"
    ERROR = "error"  # an exception, a non-zero status, or a signal
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"  # it wrote more than it may
    SANDBOX = "sandbox"  # the sandbox failed or was closed: nothing is known about the program


@dataclasses.dataclass(frozen=True)
class Ran:
    """What a program did. `stdout` and `stderr` hold what was written before the end, whatever the end was."""

    exit: Exit
    stdout: str
    stderr: str
    cpu_s: float
    wall_s: float
    truncated: bool  # whether a stream was cut at its limit


class Sandbox:
    """Runs programs, `limits.workers` at a time. Thread-safe. `close` kills what still runs."""

    def __init__(self, limits: config.Sandbox):
        for name, value in dataclasses.asdict(limits).items():
            if value <= 0:
                raise UserError(f"config.sandbox.{name} is {value}; expected more than 0")
        if limits.memory_mb < SMALLEST_MEMORY_MB:
            raise UserError(f"config.sandbox.memory_mb is {limits.memory_mb}; expected at least {SMALLEST_MEMORY_MB}")
        self.limits = limits
        self._root = tempfile.TemporaryDirectory(prefix="dsmath-", ignore_cleanup_errors=True)
        self._pool = concurrent.futures.ThreadPoolExecutor(limits.workers, thread_name_prefix="sandbox")
        self._lock = threading.Lock()
        self._running: set[int] = set()  # process groups that may be killed: not reaped yet
        self._closed = False

    @property
    def level(self) -> dict[str, Any]:
        """What contained the programs, to be written next to their results."""
        return {"level": "L0"} | dataclasses.asdict(self.limits)

    def submit(self, code: str) -> concurrent.futures.Future[Ran]:
        """Queue a program."""
        return self._pool.submit(self._run, code)

    def run(self, code: str) -> Ran:
        """Run one program and wait for it."""
        return self.submit(code).result()

    def close(self) -> None:
        """Kill what runs, cancel what waits, remove all files. Idempotent."""
        with self._lock:
            self._closed = True
            for group in self._running:
                os.killpg(group, signal.SIGKILL)
        self._pool.shutdown(cancel_futures=True)
        self._root.cleanup()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _run(self, code: str) -> Ran:
        parcel = os.memfd_create("program")
        try:
            os.write(parcel, code.encode("utf-8", "surrogatepass"))
            os.lseek(parcel, 0, os.SEEK_SET)
            with tempfile.TemporaryDirectory(dir=self._root.name, ignore_cleanup_errors=True) as folder:
                ran = self._run_in(folder, parcel)
            ready = os.pread(parcel, len(child.READY) + 1, 0) == child.READY
        finally:
            os.close(parcel)
        if self._closed or not ready:
            return dataclasses.replace(ran, exit=Exit.SANDBOX)
        return ran

    def _run_in(self, folder: str, parcel: int) -> Ran:
        start = time.monotonic()
        wall_limit_s = WALL_FACTOR * self.limits.timeout_s + WALL_EXTRA_S
        process = self._start(folder, parcel, wall_limit_s)
        try:
            output = _Output(process, limit=self.limits.output_kb * 1024)
            ended = output.read(until=start + wall_limit_s)
        finally:
            with self._lock:  # not reaped yet, so the group can't be anyone else's
                os.killpg(process.pid, signal.SIGKILL)
                self._running.discard(process.pid)
        # An ended leader is a zombie until wait4, so its status is its own, not that of our kill.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.drain()
        cpu_s = usage.ru_utime + usage.ru_stime
        return Ran(
            exit=self._exit(process.returncode, ended, output.truncated, cpu_s),
            stdout=output.text(process.stdout),
            stderr=output.text(process.stderr),
            cpu_s=round(cpu_s, 4),
            wall_s=round(time.monotonic() - start, 4),
            truncated=output.truncated,
        )

    def _start(self, folder: str, parcel: int, wall_limit_s: float) -> subprocess.Popen:
        settings = (parcel, self.limits.timeout_s, wall_limit_s + 1, self.limits.memory_mb << 20)
        command = [sys.executable, *PYTHON_FLAGS, child.__file__, *map(str, settings), *_site_folders()]
        with self._lock:
            if self._closed:
                raise concurrent.futures.CancelledError("the sandbox is closed")
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(parcel,),
                start_new_session=True,
            )
            self._running.add(process.pid)
        return process

    def _exit(self, status: int, ended: bool, truncated: bool, cpu_s: float) -> Exit:
        if truncated:
            return Exit.OUTPUT
        if not ended or -status in (signal.SIGPROF, signal.SIGXCPU, signal.SIGALRM):
            return Exit.TIMEOUT
        if -status == signal.SIGKILL:  # by the kernel: the hard CPU limit, or out of memory
            return Exit.TIMEOUT if cpu_s >= self.limits.timeout_s else Exit.MEMORY
        if status == child.MEMORY_STATUS:
            return Exit.MEMORY
        return Exit.OK if status == 0 else Exit.ERROR


class _Output:
    """The output of one process, read until the process ends."""

    def __init__(self, process: subprocess.Popen, *, limit: int):
        self._limit = limit
        self._bytes = {process.stdout: bytearray(), process.stderr: bytearray()}
        self._pid = os.pidfd_open(process.pid)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pid, selectors.EVENT_READ)
        for pipe in self._bytes:
            self._selector.register(pipe, selectors.EVENT_READ)

    @property
    def truncated(self) -> bool:
        return any(len(b) > self._limit for b in self._bytes.values())

    def read(self, *, until: float) -> bool:
        """Read until the process has ended (True), or too much came, or the time is up (False)."""
        while not self.truncated and (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                if key.fileobj == self._pid:
                    return True
                self._take(key.fileobj)
        return False

    def drain(self) -> None:
        """Take what a dead process left in its pipes, and close them."""
        self._selector.unregister(self._pid)
        os.close(self._pid)
        until = time.monotonic() + DRAIN_S
        while self._selector.get_map() and not self.truncated and (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self._take(key.fileobj)
        self._selector.close()
        for pipe in self._bytes:
            pipe.close()

    def text(self, pipe: Any) -> str:
        return bytes(self._bytes[pipe][: self._limit]).decode("utf-8", "backslashreplace")

    def _take(self, pipe: Any) -> None:
        read = os.read(pipe.fileno(), READ_BYTES)
        if read:
            self._bytes[pipe] += read
        else:
            self._selector.unregister(pipe)


def _environment(folder: str) -> dict[str, str]:
    return {
        "HOME": folder,
        "TMPDIR": folder,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",
    }


def _site_folders() -> list[str]:
    return [folder for folder in site.getsitepackages() if Path(folder).is_dir()]
