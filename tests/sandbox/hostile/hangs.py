"""Programs that don't end: busy, waiting, deep in C, or while they end."""

from tests.sandbox.hostile.program import GROWS, HANGS, Program

PROGRAMS = [
    Program("busy", "a loop", "while True: pass", HANGS),
    Program("busy_output", "a loop after some output", "print('before')\nwhile True: pass", HANGS),
    Program("sleep", "one long wait", "time.sleep(1000)", HANGS),
    Program("sleep_short", "many short waits", "while True: time.sleep(0.0005)", HANGS),
    Program("wait_read", "to read from a pipe that nobody writes", "r, w = os.pipe()\nos.read(r, 1)", HANGS),
    Program(
        "wait_lock", "a deadlock", "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()", HANGS
    ),
    Program("wait_signal", "to wait for a signal", "signal.pause()", HANGS),
    Program("wait_select", "to wait for nothing", "import select\nselect.select([], [], [])", HANGS),
    Program(
        "wait_join",
        "to wait for itself",
        "import threading\nt = threading.Thread(target=time.sleep, args=(99,))\nt.start()\nt.join()",
        HANGS,
    ),
    Program(
        "wait_async",
        "an event loop without events",
        "import asyncio\nasyncio.run(asyncio.sleep(1000))",
        ("timeout", "error"),
    ),  # without sockets there is no event loop
    Program(
        "wait_futex",
        "to wait in C with all signals blocked",
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nlibc.sleep(1000)",
        HANGS,
    ),
    Program("power", "a power that takes hours, in one call of C", "x = 3 ** (10 ** 9)", HANGS),
    Program(
        "digits",
        "an integer as text, with the limit lifted",
        "sys.set_int_max_str_digits(0)\nx = 7 ** (5 * 10 ** 6)\nprint(len(str(x)))",
        HANGS,
    ),
    Program("digits_million", "a million digits", "sys.set_int_max_str_digits(0)\nprint('7' * 1_000_000)", ("output",)),
    Program("digits_limited", "an integer as text, beyond the limit", "print(7 ** 10 ** 5)", ("error",)),
    Program(
        "digits_read",
        "text as an integer, with the limit lifted",
        "sys.set_int_max_str_digits(0)\nint('7' * 10 ** 7)",
        HANGS,
    ),
    Program("factorial", "a factorial, in C", "import math\nmath.factorial(10 ** 8)", GROWS),
    Program("sum", "a sum, in C", "print(sum(range(10 ** 12)))", HANGS),
    Program("contains", "a search without end, in C", "import itertools\n-1 in itertools.count()", HANGS),
    Program("regex", "a pattern that backtracks", "import re\nre.match('(a+)+$', 'a' * 60 + 'b')", HANGS),
    Program(
        "sort",
        "a comparison that never answers",
        "class C:\n    def __lt__(self, other):\n        while True: pass\nsorted([C(), C()])",
        HANGS,
    ),
    Program("comprehension", "nested loops", "x = [0 for a in range(10 ** 5) for b in range(10 ** 5) if a < 0]", HANGS),
    Program(
        "sympy_factor",
        "a factorisation",
        "import sympy\nprint(sympy.factorint(2 ** 521 * (2 ** 607 - 1) * (10 ** 60 + 7) * (10 ** 70 + 33) + 2))",
        HANGS,
    ),
    Program("numpy_product", "products of matrices", "import numpy\nx = numpy.eye(1200)\nwhile True: x = x @ x", HANGS),
    Program(
        "threads_busy",
        "busy threads",
        "import threading\nfor _ in range(8):\n"
        "    threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()",
        HANGS,
    ),
    Program(
        "threads_busy_c",
        "busy threads that hold no lock",
        "import hashlib, threading\n"
        "def work():\n    data = bytes(1 << 20)\n    while True: hashlib.sha256(data)\n"
        "for _ in range(4): threading.Thread(target=work).start()",
        HANGS,
    ),
    Program(
        "thread_daemon_main_ends",
        "a thread that keeps the interpreter from ending",
        "import threading\n"
        "def work():\n    while True: time.sleep(0.01)\nthreading.Thread(target=work).start()\nprint('done')",
        HANGS,
    ),
    Program(
        "atexit_wait", "a wait while the interpreter ends", "import atexit\natexit.register(time.sleep, 1000)", HANGS
    ),
    Program(
        "atexit_loop",
        "a loop while the interpreter ends",
        "import atexit\ndef work():\n    while True: pass\natexit.register(work)",
        HANGS,
    ),
    Program("finally_loop", "a loop in finally", "try: raise ValueError\nfinally:\n    while True: pass", HANGS),
    Program(
        "except_loop",
        "to go on after every error there is",
        """
def go():
    while True:
        try:
            while True: pass
        except BaseException: pass
go()
""",
        HANGS,
    ),
    Program("del_loop", "a loop in __del__", "class C:\n    def __del__(self):\n        while True: pass\nC()", HANGS),
    Program(
        "gc_loop",
        "a loop in the collector",
        "import gc\ngc.callbacks.append(lambda *a: time.sleep(1000))\ngc.collect()",
        HANGS,
    ),
    Program(
        "import_loop",
        "a loop in an import hook",
        "class F:\n    def find_spec(self, *a):\n"
        "        while True: pass\nsys.meta_path.insert(0, F())\nimport no_such_module",
        HANGS,
    ),
    Program(
        "repr_loop",
        "a loop in the representation of its error",
        "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
        HANGS,
    ),
    Program(
        "excepthook_loop",
        "a wait in the hook for errors",
        "sys.excepthook = lambda *a: time.sleep(1000)\nraise ValueError",
        ("timeout", "error"),
    ),
    Program(
        "signal_loop",
        "a signal handler that runs again and again",
        """
def handle(*a): signal.raise_signal(signal.SIGUSR1)
sys.setrecursionlimit(10 ** 6)
signal.signal(signal.SIGUSR1, handle)
while True:
    try: signal.raise_signal(signal.SIGUSR1)
    except RecursionError: pass
""",
        ("timeout", "error", "memory", "output"),
    ),
    Program(
        "deadlock_fork_handlers",
        "locks held while the interpreter ends",
        "import threading, logging\n"
        "lock = logging._lock\nthreading.Thread(target=lambda: (lock.acquire(), time.sleep(1000))).start()\n"
        "time.sleep(0.05)\nlogging.shutdown()",
        HANGS,
    ),
    Program("system_time", "time spent in the kernel", "while True: os.stat('/proc/self/maps')", HANGS),
    Program("yield", "to give the CPU away, so that little time is counted", "while True: os.sched_yield()", HANGS),
    Program(
        "page_faults",
        "memory taken and given back, for ever",
        "import mmap\nwhile True:\n"
        "    m = mmap.mmap(-1, 32 << 20)\n    for i in range(0, len(m), 4096): m[i] = 1\n    m.close()",
        HANGS,
    ),
    Program(
        "vfork_hang",
        "to wait in a place where signals don't count",
        "if libc.vfork() == 0: libc.sleep(15)",
        ("ok", "error", "timeout"),
    ),
]
