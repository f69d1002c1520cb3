"""Limits and filters taken off, namespaces, keys, and objects of the kernel that outlive a program."""

from tests.sandbox.hostile.program import ENDS, GROWS, HANGS, Program

PROGRAMS = [
    Program(
        "limits_raised",
        "to raise all its limits, then to run on",
        """
import resource
for name in dir(resource):
    if name.startswith('RLIMIT_'):
        number = getattr(resource, name)
        for limit in ((-1, -1), (resource.getrlimit(number)[1],) * 2): attempt(resource.setrlimit, number, limit)
        attempt(libc.prlimit64, 0, number, (ctypes.c_uint64 * 2)(2 ** 64 - 1, 2 ** 64 - 1), None)
while True: pass
""",
        HANGS,
    ),
    Program(
        "timers_off",
        "to switch off the timers that would end it, then to run on",
        """
for which in (0, 1, 2): attempt(signal.setitimer, which, 0)
attempt(signal.alarm, 0)
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
while True: pass
""",
        HANGS,
    ),
    Program(
        "timers_off_wait",
        "to switch off the timers and to block all signals, then to wait",
        """
for which in (0, 1, 2): attempt(signal.setitimer, which, 0)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
while True: time.sleep(1)
""",
        HANGS,
    ),
    Program(
        "prctl",
        "to be traced, to outlive its parent, to gain privileges",
        """
for arguments in ((1, 0), (1, 9), (4, 1), (36, 1), (38, 0), (38, 1), (22, 0), (22, 1), (23, 0), (24, 0), (47, 4),
                  (0x59616d61, -1), (28, 0), (28, 1), (8, 1), (53, 0), (35, 1), (40, 1), (61, 1), (59, 0)):
    ctypes.set_errno(0)
    print(arguments, libc.prctl(*[ctypes.c_long(x) for x in (*arguments, 0, 0, 0)]), ctypes.get_errno())
""",
    ),
    Program(
        "identity",
        "to be someone else",
        """
for f in (os.setuid, os.setgid, os.setreuid, os.setresuid, os.setresgid, os.setgroups):
    for id in (0, 65534, 1000):
        arguments = {'setreuid': (id, id), 'setresuid': (id,) * 3, 'setresgid': (id,) * 3, 'setgroups': ([id],)}
        attempt(f, *arguments.get(f.__name__, (id,)))
print(os.getresuid())
""",
    ),
    Program(
        "capabilities",
        "to take capabilities back",
        """
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
data = (ctypes.c_uint32 * 6)(*[2 ** 32 - 1] * 6)
print(libc.capset(header, data), ctypes.get_errno())
for capability in range(41): print(libc.prctl(47, 2, capability, 0, 0), libc.prctl(23, capability, 0, 0, 0))
""",
    ),
    Program(
        "filters_own",
        "filters of its own, which might replace those in force",
        """
program = (ctypes.c_uint64 * 1)(0x7fff000000000006)
fprog = (ctypes.c_uint64 * 2)(1, ctypes.addressof(program))
attempt(call, 'seccomp', 1, 0, ctypes.byref(fprog))
attempt(call, 'seccomp', 1, 8, ctypes.byref(fprog))
attempt(call, 'seccomp', 0, 0, None) if os.environ.get('NEVER') else None
print(libc.prctl(22, 2, ctypes.byref(fprog), 0, 0))
attempt(call, 'landlock_create_ruleset', None, 0, 1)
linger(attempt(os.fork))
""",
    ),
    Program(
        "namespaces",
        "namespaces of its own, in which it would be root",
        """
for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x4000000, 0x8000000, 0x2000000, 0x400, 0x200, 0x10020000):
    attempt(call, 'unshare', flag)
    attempt(libc.unshare, flag)
for name in ('user', 'mnt', 'net', 'pid'):
    fd = attempt(os.open, f'/proc/{os.getppid()}/ns/{name}', os.O_RDONLY)
    if fd is not None: attempt(call, 'setns', fd, 0)
print(attempt(lambda: read(CANARY)))
linger(attempt(os.fork))
""",
    ),
    Program(
        "mounts",
        "file systems over the home folder, another root",
        """
attempt(call, 'mount', b'x', FOLDER.encode(), b'tmpfs', 0, None)
attempt(call, 'mount', b'/', FOLDER.encode(), None, 0x1000, None)
attempt(call, 'open_tree', -100, b'/', 1)
attempt(call, 'chroot', FOLDER.encode())
attempt(os.chroot, FOLDER)
attempt(call, 'pivot_root', FOLDER.encode(), FOLDER.encode())
attempt(call, 'umount2', FOLDER.encode(), 0)
""",
    ),
    Program(
        "kernel_interfaces",
        "the kernel's debugging interfaces",
        """
attributes = ctypes.create_string_buffer(128)
for name, *arguments in (('bpf', 0, attributes, 72), ('bpf', 5, attributes, 72), ('userfaultfd', 1),
                         ('userfaultfd', 0x80001), ('perf_event_open', attributes, 0, -1, -1, 0),
                         ('init_module', None, 0, b''), ('personality', 0x40000), ('personality', 0xffffffff)):
    attempt(call, name, *arguments)
""",
    ),
    Program(
        "keys",
        "keys in the kernel, which outlive a program",
        """
for keyring in (-1, -2, -3, -4, -5):
    attempt(call, 'add_key', b'user', MARK.encode(), b'payload', 7, keyring)
attempt(call, 'keyctl', 0, -3, 1)
attempt(call, 'keyctl', 1, None)
attempt(call, 'request_key', b'user', MARK.encode(), None, -4)
""",
    ),
    Program(
        "sysv",
        "System V memory, semaphores and messages, which outlive a program",
        """
attempt(call, 'shmget', KEY, 4096, 0o1600)
attempt(call, 'semget', KEY, 1, 0o1600)
queue = attempt(call, 'msgget', KEY, 0o1600)
if queue is not None: attempt(call, 'msgsnd', queue, ctypes.create_string_buffer(b'\\1' * 64, 64), 32, 0)
attempt(libc.shmget, KEY, 4096, 0o1600)
attempt(libc.semget, KEY, 1, 0o1600)
attempt(libc.msgget, KEY, 0o1600)
""",
    ),
    Program(
        "mqueue",
        "POSIX messages and semaphores, which outlive a program",
        """
queue = attempt(call, 'mq_open', MARK.encode(), os.O_CREAT | os.O_RDWR, 0o600, None)
if queue is not None: attempt(call, 'mq_timedsend', queue, b'x' * 100, 100, 0, None)
import multiprocessing
attempt(multiprocessing.Semaphore)
attempt(libc.sem_open, f'/{MARK}'.encode(), os.O_CREAT, 0o600, 1)
""",
    ),
    Program(
        "timers",
        "timers that fire after the program's end",
        """
timer = ctypes.c_void_p()
event = (ctypes.c_int64 * 8)(0, 9)
attempt(libc.timer_create, 0, ctypes.byref(event), ctypes.byref(timer))
attempt(libc.timer_settime, timer, 0, (ctypes.c_int64 * 4)(0, 0, 0, 1000), None)
for _ in range(2000):
    if libc.timer_create(1, None, ctypes.byref(timer)): break
print('ended before the timer')
""",
        ENDS,
    ),
    Program(
        "handles",
        "many watchers of files and events",
        """
import select
attempt(os.eventfd, 0)
for _ in range(600):
    try: select.epoll()
    except OSError as e: print(e); break
i = libc.inotify_init()
for path in ('/', '/tmp', FOLDER, '/proc', sys.prefix): print(libc.inotify_add_watch(i, path.encode(), 0xfff))
""",
        GROWS,
    ),
    Program(
        "aio",
        "input and output queues of the kernel",
        """
context = ctypes.c_ulong()
number = 206 if os.uname().machine == 'x86_64' else 0
print(libc.syscall(number, 10, ctypes.byref(context)))
r, w = attempt(os.pipe) or (0, 1)
attempt(call, 'vmsplice', w, (ctypes.c_void_p * 2)(ctypes.addressof(ctypes.create_string_buffer(4096)), 4096), 1, 0)
""",
    ),
    Program(
        "clock",
        "another time",
        "attempt(time.clock_settime, time.CLOCK_REALTIME, time.time())\n"
        "attempt(libc.settimeofday, None, None)\nattempt(libc.adjtimex, ctypes.create_string_buffer(256))",
    ),
    Program(
        "hostname", "another name of the machine", "import socket\nattempt(socket.sethostname, os.uname().nodename)"
    ),
    Program(
        "umask_and_folder",
        "another working folder and mask for the next program",
        "os.umask(0)\nattempt(os.chdir, '/')\nattempt(os.chdir, sys.prefix)\nattempt(os.chdir, FOLDER)",
    ),
    Program(
        "executable_memory",
        "machine code of its own, to call the kernel without anyone in between",
        """
import mmap
page = mmap.mmap(-1, 4096, prot=7)
# mov eax, 57 (fork); syscall; ret
page.write(bytes.fromhex('b8390000000f05c3'))
if os.uname().machine == 'x86_64':
    linger(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())
""",
    ),
    Program(
        "seccomp_strict",
        "to lock itself in, so that it dies at the next call",
        "libc.prctl(22, 1, 0, 0, 0)\nprint('still here', flush=True)",
        ("ok", "error", "memory"),
    ),
]
