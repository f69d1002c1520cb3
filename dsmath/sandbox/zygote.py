"""The zygote: an interpreter with its libraries loaded, which forks one locked-down child per program.

Started by dsmath/sandbox/client.py as `python -m dsmath.sandbox.zygote SETTINGS`, with a SOCK_SEQPACKET socket. It
never runs a line of a program itself. One message of the client hands over a program and the pipes for its output, or
takes it back; one message answers when the child has gone. What it says is the kernel's word: wait status, CPU clock.

Children are forked ahead ("spares"), so that a program finds one that is locked down and waits.
"""

import atexit
import contextlib
import dataclasses
import enum
import gc
import importlib
import json
import os
import resource
import select
import signal
import site
import socket
import struct
import sys
import time
from pathlib import Path

from dsmath.sandbox import child, lockdown, seccomp

WALL_FACTOR, WALL_EXTRA_S = 3.0, 2.0  # a backstop: on an overloaded machine, time spent waiting for a CPU doesn't count
MAX_THREADS = 64
WATCH_S = 0.05  # between two looks at a program
MOST_SPARES = 128
SETUP_FAILURES = 5  # children that end before their program starts, in a row, before the zygote gives up

REQUEST = struct.Struct("=BQ")  # Op, id
REPLY = struct.Struct("=QBiddQ")  # id, Cause, wait status, CPU seconds, wall seconds, peak bytes
READY_ID = 0  # of the reply that the zygote sends before all others

# Loaded before the first fork, by kind. Each program uses few of them; a fork shares them all.
PRELOADED = {
    "light": (
        *("array", "bisect", "calendar", "cmath", "collections.abc", "copy", "csv", "datetime", "decimal", "fractions"),
        *("functools", "heapq", "inspect", "itertools", "math", "numbers", "operator", "pprint", "queue", "re"),
        *("statistics", "string", "textwrap", "typing", "unicodedata", "warnings"),
    ),
    "heavy": ("numpy", "numpy.linalg", "numpy.random", "numpy.polynomial", "mpmath", "sympy"),
}


class Op(enum.IntEnum):
    """What the client asks for."""

    RUN = 0  # with three descriptors: the program, and where its stdout and stderr go
    KILL = 1


class Cause(enum.IntEnum):
    """Why a program ended."""

    ITSELF = 0
    TIMEOUT = 1
    THREADS = 2
    CLIENT = 3  # asked to kill it
    SETUP = 4  # its child never got as far as running it


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the client decides; passed as JSON."""

    socket: int  # descriptor
    kind: str  # "light" or "heavy"
    site_folders: list[str]
    readable: list[str]  # files and folders
    timeout_s: float
    memory_bytes: int
    spares: int  # children that wait for programs
    lockdown: bool  # False leaves out Landlock and seccomp, to measure what they cost


@dataclasses.dataclass(eq=False)
class _Child:
    pid: int
    ended: int  # descriptor of the process, readable when it has ended
    channel: socket.socket
    id: int | None = None  # of its program; None while it is a spare
    cause: Cause = Cause.ITSELF
    start: float = 0.0
    cpu_at_start: float = 0.0
    next_look: float = 0.0


class Zygote:
    """The loop: programs in, children forked and watched, results out."""

    def __init__(self, client: socket.socket, settings: Settings, rules: child.Rules):
        self.client = client
        self.timeout_s = settings.timeout_s
        self.wall_s = WALL_FACTOR * settings.timeout_s + WALL_EXTRA_S
        self.most_spares = settings.spares
        self.rules = rules
        self.contained = rules.restrict_calls is not None  # no child can have children
        self.children: dict[int, _Child] = {}  # by descriptor
        self.running: dict[int, _Child] = {}  # by id of the program
        self.spares: list[_Child] = []
        self.setup_failures = 0
        self.fork_again = 0.0  # when to try again, where no process could be had
        self.poll = select.poll()
        self.poll.register(self.client, select.POLLIN)

    def serve(self) -> None:
        """Until the client closes its socket."""
        while True:
            lacks = len(self.spares) < self.most_spares and not self._ending()
            forks = lacks and time.monotonic() >= self.fork_again
            ready = [descriptor for descriptor, _ in self.poll.poll(0 if forks else self._pause_ms(lacks))]
            for descriptor in ready:
                if descriptor in self.children:
                    self._reap(self.children.pop(descriptor))
            if self.client.fileno() in ready and not self._receive():
                return
            self._watch()
            if forks and not ready:
                self._prepare()

    def kill_all(self) -> None:
        """End every child."""
        for one in self.children.values():
            self._kill(one.pid)
        if not self.contained:
            self._sweep()

    def _receive(self) -> bool:
        """Take one message of the client; False if it has gone."""
        message, descriptors, _, _ = socket.recv_fds(self.client, REQUEST.size, 3)
        if not message:
            return False
        op, id = REQUEST.unpack(message)
        if op == Op.RUN:
            self._start(id, descriptors)
        elif id in self.running:
            self._end(self.running[id], Cause.CLIENT)
        return True

    def _start(self, id: int, descriptors: list[int]) -> None:
        try:
            taken = self.spares.pop() if self.spares else self._fork()
        except OSError as e:
            print(f"no process for a program: {e}", file=sys.stderr)
            for descriptor in descriptors:
                os.close(descriptor)
            self.client.send(REPLY.pack(id, Cause.SETUP, 0, 0.0, 0.0, 0))
            return
        taken.id, taken.start, taken.cpu_at_start = id, time.monotonic(), _cpu_s(taken.pid)
        taken.next_look = taken.start + min(WATCH_S, self.timeout_s)
        self.running[id] = taken
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has died, and will be reaped
            socket.send_fds(taken.channel, [b"\0"], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def _prepare(self) -> None:
        """Fork a spare; later, where no process can be had for now: programs may have taken the last with threads."""
        try:
            self.spares.append(self._fork())
        except OSError:
            self.fork_again = time.monotonic() + WATCH_S

    def _fork(self) -> _Child:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            child.main(theirs, self.rules, zygote)
        theirs.close()
        forked = _Child(pid, os.pidfd_open(pid), ours)
        self.children[forked.ended] = forked
        self.poll.register(forked.ended, select.POLLIN)
        return forked

    def _reap(self, ended: _Child) -> None:
        """Take leave of a child that has ended, and report what became of its program."""
        _, status, usage = os.wait4(ended.pid, 0)
        accepted = _accepted(ended.channel)
        ended.channel.close()
        self.poll.unregister(ended.ended)
        os.close(ended.ended)
        if not self.contained:
            self._sweep()
        if accepted:
            self.setup_failures = 0
        elif ended.cause is Cause.ITSELF:  # and not because it was killed before it got its program
            self.setup_failures += 1
        if self.setup_failures > SETUP_FAILURES:
            sys.exit("no child gets through its lockdown")
        if ended.id is None:
            self.spares.remove(ended)
            return
        del self.running[ended.id]
        if not accepted and ended.cause is Cause.ITSELF:
            ended.cause = Cause.SETUP
        cpu_s = max(0.0, usage.ru_utime + usage.ru_stime - ended.cpu_at_start)
        wall_s = time.monotonic() - ended.start
        self.client.send(REPLY.pack(ended.id, ended.cause, status, cpu_s, wall_s, usage.ru_maxrss << 10))

    def _pause_ms(self, lacks: bool) -> float | None:
        looks = [running.next_look for running in self.running.values() if running.cause is Cause.ITSELF]
        looks += [self.fork_again] if lacks else []
        return max(0.0, min(looks) - time.monotonic()) * 1000 + 0.1 if looks else None

    def _watch(self) -> None:
        """Look at the programs whose time for it has come, and end those that are over a limit."""
        now = time.monotonic()
        for running in self.running.values():
            if running.next_look > now or running.cause is not Cause.ITSELF:
                continue
            elapsed, delay, threads = now - running.start, *_schedule(running.pid)
            used = max(_cpu_s(running.pid) - running.cpu_at_start, elapsed - delay)
            if threads > MAX_THREADS:
                self._end(running, Cause.THREADS)
            elif used >= self.timeout_s or elapsed >= self.wall_s:
                self._end(running, Cause.TIMEOUT)
            else:
                left = min(self.timeout_s - used, self.wall_s - elapsed)
                running.next_look = now + min(WATCH_S, max(left, 0.001))

    def _ending(self) -> bool:
        """Whether a program was killed and is still there: taking leave of it comes before getting ready for others."""
        return any(running.cause is not Cause.ITSELF for running in self.running.values())

    def _end(self, running: _Child, cause: Cause) -> None:
        if running.cause is Cause.ITSELF:
            running.cause = cause
        self._kill(running.pid)

    def _kill(self, pid: int) -> None:
        """Kill a child, which is ours until it is reaped, and the process group that it leads."""
        for kill in (os.kill,) if self.contained else (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)

    def _sweep(self) -> None:
        """Kill and reap the orphans that children left behind, where these could have children."""
        with contextlib.suppress(ChildProcessError, FileNotFoundError):
            known = {one.pid for one in self.children.values()}
            while orphans := {*map(int, Path("/proc/thread-self/children").read_text().split())} - known:
                for pid in orphans:
                    self._kill(pid)
                    os.waitpid(pid, 0)


def _accepted(channel: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError, ConnectionResetError):
        return channel.recv(len(child.ACCEPTED), socket.MSG_DONTWAIT) == child.ACCEPTED
    return False


def _cpu_s(pid: int) -> float:
    """CPU seconds of all threads of a process, from its CPU clock (clock_getcpuclockid(3)); 0 if it has gone."""
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    return 0.0


def _schedule(pid: int) -> tuple[float, int]:
    """The seconds that a process wanted a CPU and got none (its thread that waited longest), and its threads.

    Where the kernel doesn't tell, no second was.
    """
    delays, threads = [0.0], 0
    with contextlib.suppress(OSError):
        tasks = os.listdir(f"/proc/{pid}/task")
        threads = len(tasks)
        for task in tasks[:MAX_THREADS]:
            with open(f"/proc/{pid}/task/{task}/schedstat", "rb") as file:
                delays.append(int(file.read().split()[1]) / 1e9)
    return max(delays), threads


def preload(kind: str) -> None:
    """Import what programs use, and use it once: much of a library is built at its first use."""
    for name in PRELOADED["light"] + (PRELOADED["heavy"] if kind == "heavy" else ()):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if "sympy" in sys.modules:
        _warm_up()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "sympy" in sys.modules:
        sys.modules["sympy"].core.random.seed(0)


def _warm_up() -> None:
    import sympy

    x, y = sympy.symbols("x y")
    n = sympy.Symbol("n", integer=True, positive=True)
    sympy.solve([x + y - 3, x - y - 1], [x, y])
    sympy.solve(x**2 - 3 * x + sympy.Rational(5, 4), x)
    sympy.solve(sympy.Eq(x**3 - x, 0), x)
    sympy.simplify(sympy.sin(x) ** 2 + sympy.cos(x) ** 2)
    sympy.factor(sympy.expand((x + 1) ** 3))
    sympy.integrate(x**2 * sympy.exp(x), (x, 0, 1))
    sympy.diff(sympy.sin(x) / x, x)
    sympy.limit(sympy.sin(x) / x, x, 0)
    sympy.summation(n, (n, 1, 10))
    sympy.N(sympy.sqrt(2) + sympy.pi, 20)
    str(sympy.Matrix([[1, 2], [3, 4]]).inv())
    sympy.latex(sympy.sqrt(x) / 2)
    sympy.factorint(360), sympy.isprime(97), sympy.binomial(10, 3), sympy.nsimplify(0.75)


def become_interpreter() -> None:
    """Look to programs like a fresh `python`: nothing of this package, no arguments, empty exit functions."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "dsmath"]:
        del sys.modules[name]
    sys.argv = sys.orig_argv = [""]
    del os.environ["PYTHONPATH"]
    site.setquit()
    site.sethelper()
    site.setcopyright()
    atexit._clear()
    sys.stdout.reconfigure(  # type: ignore[union-attr]  # Python's own stdout is a TextIOWrapper
        errors="backslashreplace"
    )  # `python -u`: each write goes straight to the pipe
    gc.collect()
    gc.freeze()


def limit(memory_bytes: int) -> None:
    """The limits that children inherit from here. `memory_bytes` come on top of what this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    for name, value in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),  # no file grows
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 256),
        (resource.RLIMIT_STACK, 8 << 20),
    ):
        lockdown.limit(name, value)
    lockdown.hide_memory()
    lockdown.adopt_orphans()
    lockdown.no_new_privileges()
    lockdown.drop_capabilities()


def rules(settings: Settings) -> child.Rules:
    """The rules of this zygote's children, as strict as the kernel can make them."""
    files = settings.lockdown and lockdown.landlock_abi() > 0
    calls = settings.lockdown and lockdown.has_seccomp()
    return child.Rules(
        cpu_s=int(settings.timeout_s) + 2,
        landlock=lockdown.landlock_rules(settings.readable, [os.devnull]) if files else None,
        restrict_calls=lockdown.call_rules(seccomp.assemble()) if calls else None,
    )


def main() -> None:
    """Load, and serve the client until it goes."""
    settings = Settings(**json.loads(sys.argv[1]))
    package = sys.path.index(str(Path(__file__).parents[2]))
    sys.path[package : package + 1] = []
    sys.path += settings.site_folders
    preload(settings.kind)
    allowed = rules(settings)
    limit(settings.memory_bytes)
    zygote = Zygote(socket.socket(fileno=settings.socket), settings, allowed)
    become_interpreter()
    zygote.client.send(REPLY.pack(READY_ID, Cause.ITSELF, 0, 0.0, 0.0, 0))
    try:
        zygote.serve()
    finally:
        zygote.kill_all()


if __name__ == "__main__":
    main()
