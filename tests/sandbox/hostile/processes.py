"""Forks of every kind, daemons, pipes held open, other programs."""

from tests.sandbox.hostile.program import ENDS, GROWS, HANGS, Program

LATE = ("ok", "error", "timeout")

PROGRAMS = [
    Program("fork_os", "children by os.fork", "for _ in range(3): linger(attempt(os.fork))"),
    Program(
        "fork_bomb",
        "64 processes by os.fork, each of which hangs",
        "for _ in range(6):\n    try: os.fork()\n    except OSError: pass\nend = time.time() + 15\n"
        "while time.time() < end: time.sleep(0.1)",
        HANGS,
    ),
    Program(
        "fork_bomb_libc",
        "64 busy processes by the C library's fork",
        "for _ in range(6): libc.fork()\nend = time.time() + 15\nwhile time.time() < end: pass",
        HANGS,
    ),
    Program("fork_libc", "children by the C library's fork", "for _ in range(3): linger(attempt(libc.fork))"),
    Program("fork_vfork", "a child that shares memory, by vfork", "if libc.vfork() == 0: os._exit(0)"),
    Program("fork_syscall", "a child by the system call fork", "linger(attempt(call, 'fork'))"),
    Program("fork_clone", "a child by the system call clone", "linger(attempt(call, 'clone', 17, 0, 0, 0, 0))"),
    Program(
        "fork_clone_sibling",
        "a child that is its parent's child, by CLONE_PARENT",
        "linger(attempt(call, 'clone', 0x8000 | 17, 0, 0, 0, 0))",
    ),
    Program(
        "fork_clone_namespaces",
        "a child in namespaces of its own",
        "linger(attempt(call, 'clone', 0x10000000 | 0x20000000 | 17, 0, 0, 0, 0))",
    ),
    Program(
        "fork_clone_untraced",
        "a child without a signal at its end, by clone with exit signal 0",
        "linger(attempt(call, 'clone', 0, 0, 0, 0, 0))",
    ),
    Program(
        "fork_clone_vm",
        "a process that shares the memory but is no thread, by CLONE_VM, which sleeps",
        """
import mmap
stack = mmap.mmap(-1, 1 << 20)
top = ctypes.addressof(ctypes.c_char.from_buffer(stack)) + (1 << 20) - 64
attempt(libc.clone, libc.sleep, ctypes.c_void_p(top), 0x100 | 17, ctypes.c_void_p(15))
""",
    ),
    Program(
        "fork_clone3",
        "a child by the system call clone3",
        """
arguments = (ctypes.c_uint64 * 11)()
arguments[4] = 17
linger(attempt(call, 'clone3', ctypes.byref(arguments), 88))
""",
    ),
    Program(
        "fork_clone3_sibling",
        "a child of its parent by clone3 with CLONE_PARENT",
        """
arguments = (ctypes.c_uint64 * 11)()
arguments[0] = 0x8000
linger(attempt(call, 'clone3', ctypes.byref(arguments), 88))
""",
    ),
    Program(
        "fork_i386",
        "a child by the system call number of 32-bit programs, through int 0x80",
        """
import mmap
if os.uname().machine == 'x86_64':
    # mov eax, 2 (fork); int 0x80; ret
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex('b802000000cd80c3'))
    code = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    pid = code()
    print(pid, flush=True)
    linger(pid)
""",
    ),
    Program(
        "fork_x32",
        "a child by the system call number of x32 programs",
        "if os.uname().machine == 'x86_64': linger(libc.syscall(ctypes.c_long(0x40000000 + 57)))",
    ),
    Program("fork_pty", "a child on a terminal of its own", "import pty\nlinger((attempt(pty.fork) or [1])[0])"),
    Program(
        "fork_thread",
        "a child forked from a second thread",
        "import threading\nt = threading.Thread(target=lambda: linger(attempt(os.fork)))\nt.start()\nt.join()",
    ),
    Program(
        "fork_atexit",
        "a child forked while the interpreter ends",
        "import atexit\natexit.register(lambda: linger(attempt(os.fork)))",
    ),
    Program(
        "fork_respawn",
        "a child that replaces itself every few milliseconds, so that no sweep sees it twice",
        """
def respawn():
    for _ in range(300):
        time.sleep(0.005)
        if os.fork(): os._exit(0)
    os._exit(0)
if attempt(os.fork) == 0: respawn()
""",
    ),
    Program(
        "fork_pipes_held",
        "a child that keeps the output open after the program's end",
        "if attempt(os.fork) == 0:\n    time.sleep(3)\n    print('late', flush=True)\n    linger()\nprint('early')",
    ),
    Program(
        "daemon",
        "a daemon: two forks with a session in between, everything closed",
        """
if attempt(os.fork) == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    os.chdir('/')
    os.closerange(0, 64)
    linger()
""",
    ),
    Program(
        "daemon_libc",
        "a daemon, by the C library",
        "if attempt(libc.daemon, 0, 0) == 0: linger()",
    ),
    Program(
        "daemon_writes_later",
        "a daemon that writes into the home folder when the judge may have looked already",
        """
if attempt(os.fork) == 0:
    os.setsid()
    for i in range(20):
        time.sleep(0.1)
        open(f'{FOLDER}/{MARK}-{i}', 'w').close()
    os._exit(0)
""",
    ),
    Program(
        "setsid_and_hang",
        "a session of its own, out of reach of killpg, then endless waiting",
        "attempt(os.setsid)\nattempt(call, 'setsid')\nattempt(os.setpgid, 0, os.getppid())\n"
        "attempt(call, 'setpgid', 0, 0)\ntime.sleep(15)",
        HANGS,
    ),
    Program("posix_spawn", "os.posix_spawn", "attempt(os.posix_spawn, '/bin/sleep', ['sleep', '15'], {})"),
    Program(
        "posix_spawn_libc",
        "the C library's posix_spawn",
        """
pid = ctypes.c_int()
arguments = (ctypes.c_char_p * 3)(b'sleep', b'15', None)
attempt(libc.posix_spawn, ctypes.byref(pid), b'/bin/sleep', None, None, arguments, None)
""",
    ),
    Program("system", "os.system", "attempt(os.system, 'sleep 15 &')"),
    Program("system_libc", "the C library's system", "attempt(libc.system, b'sleep 15 &')"),
    Program("popen", "os.popen, and the C library's", "attempt(libc.popen, b'sleep 15', b'r')\nos.popen('sleep 15')"),
    Program(
        "subprocess",
        "a process by subprocess.Popen, in a session of its own",
        "import subprocess\nattempt(subprocess.Popen, ['/bin/sleep', '15'], start_new_session=True)\n"
        "attempt(subprocess.Popen, ['/bin/sleep', '15'], close_fds=False)\n"
        "attempt(subprocess.check_output, f'env; id; cat {CANARY}', shell=True)",
    ),
    Program(
        "multiprocessing_fork",
        "multiprocessing.Process, by fork",
        "import multiprocessing\n"
        "multiprocessing.get_context('fork').Process(target=time.sleep, args=(15,), daemon=False).start()",
        LATE,
    ),
    Program(
        "multiprocessing_spawn",
        "multiprocessing.Process, by a fresh interpreter",
        "import multiprocessing\n"
        "multiprocessing.get_context('spawn').Process(target=time.sleep, args=(15,), daemon=True).start()",
        LATE,
    ),
    Program(
        "multiprocessing_pool",
        "pools of processes",
        "import concurrent.futures, multiprocessing\nattempt(multiprocessing.Pool, 4)\n"
        "with concurrent.futures.ProcessPoolExecutor(4) as pool: print(list(pool.map(abs, range(4))))",
        LATE,
    ),
    Program("exec", "to become another program", "attempt(os.execv, '/bin/sleep', ['sleep', '15'])", ENDS),
    Program(
        "exec_python",
        "to become a fresh interpreter, without whatever this one was patched with",
        "attempt(os.execv, sys.executable, [sys.executable, '-c', 'import time; time.sleep(15)'])",
    ),
    Program(
        "exec_loader",
        "to become another program by way of the dynamic loader",
        "arm = os.uname().machine == 'aarch64'\n"
        "loader = '/lib/ld-linux-aarch64.so.1' if arm else '/lib64/ld-linux-x86-64.so.2'\n"
        "attempt(call, 'execve', loader.encode(), (ctypes.c_char_p * 4)(b'ld', b'/bin/sleep', b'15', None), None)",
    ),
    Program(
        "exec_memfd",
        "to become a program that lies in memory",
        """
fd = attempt(call, 'memfd_create', b'x', 0)
if fd is not None:
    os.write(fd, read('/bin/sleep'))
    attempt(call, 'execveat', fd, b'', (ctypes.c_char_p * 3)(b'sleep', b'15', None), None, 0x1000)
""",
    ),
    Program(
        "orphans",
        "twenty short-lived children that nobody waits for",
        "for _ in range(20):\n    if attempt(os.fork) == 0: os._exit(0)",
    ),
    Program(
        "threads_endless",
        "threads that never end, daemons and not",
        """
import threading
for daemon in (True, False):
    for _ in range(4): threading.Thread(target=time.sleep, args=(15,), daemon=daemon).start()
print('main ends')
""",
        HANGS,
    ),
    Program(
        "threads_many",
        "3,000 threads",
        """
import threading
threading.stack_size(65536)
threads = []
try:
    for _ in range(3000):
        threads.append(threading.Thread(target=time.sleep, args=(5,), daemon=True))
        threads[-1].start()
finally:
    print(len(threads))
""",
        GROWS,
    ),
    Program(
        "threads_recursive",
        "threads that start two threads each, ten generations",
        """
import threading
def split(depth):
    if depth:
        for _ in range(2): threading.Thread(target=split, args=(depth - 1,)).start()
    time.sleep(5)
split(10)
""",
        (*HANGS, "output", "memory"),
    ),
]
