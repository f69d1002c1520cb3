"""What the sandbox's client holds: programs on their way, and the processes that they are on the way to."""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dsmath
from dsmath import config
from dsmath.sandbox import levels, zygote
from dsmath.sandbox.zygote import Op

CLOSE_S = 5.0
# No site (its .pth files are slow; the folders are passed on instead), no user site, no working folder on the path, no
# bytecode written, no buffers that a kill would lose, UTF-8, tracebacks without markers under the source.
_PYTHON_FLAGS = ("-S", "-s", "-P", "-B", "-u", "-X", "utf8", "-X", "no_debug_ranges")
_ENVIRONMENT = {
    "HOME": "/",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "MPLCONFIGDIR": "/tmp",  # Matplotlib asks for a folder whose mode bits let it write, and goes on when it can't
    "MPLBACKEND": "Agg",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
}


class Job:
    """A program on its way: its future, and the ends of its pipes that are read."""

    def __init__(self, id: int, kind: str, program: bytes, future: concurrent.futures.Future, limit: int):
        self.id, self.kind, self.program, self.future = id, kind, program, future
        self.limit = limit  # bytes per stream
        self.started = 0.0
        self.zygote: ZygoteProcess | None = None
        self._pipes: list[int] = []
        self._outputs = [bytearray(), bytearray()]  # stdout, stderr

    @property
    def truncated(self) -> bool:
        return any(len(output) > self.limit for output in self._outputs)

    def start(self, one: "ZygoteProcess") -> None:
        """Send the program to a zygote. Raises BlockingIOError if it can't take more for now."""
        reads, sent = [], []
        try:
            sent.append(os.memfd_create("program"))
            with open(sent[0], "wb", closefd=False) as file:
                file.write(self.program)
            for _ in range(2):
                read, write = os.pipe2(os.O_CLOEXEC)
                os.set_blocking(read, False)
                reads.append(read)
                sent.append(write)
            socket.send_fds(one.client, [zygote.REQUEST.pack(Op.RUN, self.id)], sent, socket.MSG_DONTWAIT)
        except BaseException:
            for read in reads:
                os.close(read)
            raise
        finally:
            for descriptor in sent:
                os.close(descriptor)
        self._pipes = reads
        self.zygote, self.started = one, time.monotonic()

    def read(self) -> None:
        """Take what there is, up to one byte more than the limit."""
        for pipe, output in zip(self._pipes, self._outputs, strict=True):
            with contextlib.suppress(BlockingIOError):
                while len(output) <= self.limit and (piece := os.read(pipe, self.limit + 1 - len(output))):
                    output += piece

    def close(self) -> tuple[str, str]:
        """Let go of the pipes; what came through them, as text."""
        for pipe in self._pipes:
            os.close(pipe)
        stdout, stderr = (bytes(o[: self.limit]).decode("utf-8", "backslashreplace") for o in self._outputs)
        return stdout, stderr


class ZygoteProcess:
    """A zygote's process and the socket to it."""

    def __init__(self, limits: config.Sandbox, around: list[str], kind: str, *, lock_down: bool):
        self.client, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._log, log = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        settings = zygote.Settings(
            socket=theirs.fileno(),
            kind=kind,
            site_folders=levels.site_folders(),
            readable=levels.readable(),
            timeout_s=limits.timeout_s or 0,  # the client has checked that there is one
            memory_bytes=limits.memory_mb << 20,
            spares=min(limits.workers, zygote.MOST_SPARES),
            lockdown=lock_down,
        )
        python = [
            sys.executable,
            *_PYTHON_FLAGS,
            "-m",
            "dsmath.sandbox.zygote",
            json.dumps(dataclasses.asdict(settings)),
        ]
        try:
            self.process = subprocess.Popen(
                [*around, *python],
                cwd="/",
                env=_ENVIRONMENT | {"PYTHONPATH": str(Path(dsmath.__file__).parents[1])},
                stdin=subprocess.DEVNULL,
                stdout=log,  # a pipe, as a program's stdout will be: Python asks once whether it can seek
                stderr=log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(log)

    def kill(self, id: int) -> None:
        """Have a program killed."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            self.client.send(zygote.REQUEST.pack(Op.KILL, id), socket.MSG_DONTWAIT)

    def close(self) -> str:
        """End it, and with it every program that it runs; what it said last, if something went wrong."""
        self.client.close()
        try:
            self.process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        said = self.said()
        os.close(self._log)
        return said

    def said(self) -> str:
        """What it or a child that could not be locked down wrote to its standard error."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self._log, 65536).decode("utf-8", "backslashreplace").strip()
        return ""
