"""What a sandboxed interpreter runs before the program: limits, then the program as `__main__`.

Started by path, as `python -S ... child.py PARCEL CPU_S WALL_S MEMORY_BYTES SITE...`; it imports little, because that
is paid for by every program. PARCEL is a file descriptor that holds the program; it is overwritten with READY once
every limit is in force, and closed before the program starts, so that the parent can tell a sandbox that failed from a
program that failed.
"""

import resource
import signal
import site
import sys
import types

READY = b"\0ready"  # no program looks like it
MEMORY_STATUS = 112  # exit status after an uncaught MemoryError
FILE_BYTES = 16 << 20  # size of any file that a program writes
OPEN_FILES = 256
PROCESSES = 4096  # of the whole user, threads included; not enforced for root
FORBIDDEN = frozenset(  # audit events
    (
        *("os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.spawn", "os.system", "subprocess.Popen"),
        *("os.kill", "os.killpg"),
        "socket.__new__",
    )
)


def limit(*, cpu_s: float, wall_s: float, memory_bytes: int) -> None:
    """Put this process under its limits. Seconds count from now, but RLIMIT_CPU from the start of the process."""
    for number in (signal.SIGPROF, signal.SIGALRM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    hard_cpu_s = int(cpu_s) + 1  # a backstop behind the timer, which a program could switch off
    for name, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, PROCESSES),
        (resource.RLIMIT_CPU, hard_cpu_s),
        (resource.RLIMIT_AS, memory_bytes),
    ):
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))
    sys.addaudithook(forbid)
    signal.setitimer(signal.ITIMER_REAL, wall_s)  # for the case that the parent is gone
    signal.setitimer(signal.ITIMER_PROF, cpu_s)


def forbid(event: str, args: tuple) -> None:
    """The audit hook that fails whatever would start a process, signal one, or open a socket."""
    if event in FORBIDDEN:
        raise PermissionError(f"{event} is not allowed here")


def seed(code: str) -> None:
    """Seed the global generators of the libraries that a program seems to use."""
    if "random" not in code:
        return
    import random

    random.seed(0)
    if "numpy" in code:
        try:
            import numpy
        except ImportError:
            return
        numpy.random.seed(0)


def run(code: str) -> int:
    """Run a program as `__main__`; its exit status. Tracebacks show the program's frames only."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    try:
        exec(compile(code, "<string>", "exec"), main.__dict__)
    except SystemExit:
        raise
    except BaseException as e:  # noqa: BLE001  a program may raise anything
        drop_own_frames(e)
        sys.excepthook(type(e), e, e.__traceback__)
        return MEMORY_STATUS if isinstance(e, MemoryError) else 1
    return 0


def drop_own_frames(error: BaseException | None) -> None:
    """Cut the frames of this file, the one of `run` and those of the audit hook, from an error and its causes."""
    while error is not None:
        traceback = types.SimpleNamespace(tb_next=error.__traceback__)  # in front of the first
        first = traceback
        while traceback.tb_next is not None:
            if traceback.tb_next.tb_frame.f_code.co_filename == __file__:
                traceback.tb_next = traceback.tb_next.tb_next
            else:
                traceback = traceback.tb_next
        error.__traceback__ = first.tb_next
        error = error.__cause__ or error.__context__


if __name__ == "__main__":
    parcel, cpu_s, wall_s, memory_bytes, *site_folders = sys.argv[1:]
    with open(int(parcel), "r+b") as file:
        source = file.read().decode("utf-8", "surrogatepass")
        sys.path.extend(site_folders)
        sys.argv = [""]
        site.setquit()
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
        limit(cpu_s=float(cpu_s), wall_s=float(wall_s), memory_bytes=int(memory_bytes))
        file.seek(0)
        file.truncate()
        file.write(READY)
    seed(source)
    sys.exit(run(source))
