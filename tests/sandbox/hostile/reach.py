"""Other processes: what /proc says about them, signals, debugging, scheduling, descriptors."""

from tests.sandbox.hostile.program import ENDS, HANGS, Program

LARGE = ("ok", "error", "output")
OWN_END = ("ok", "error", "timeout")

PROGRAMS = [
    Program("environ", "the environment that it got", "print(dict(os.environ))\nprint(read('/proc/self/environ'))"),
    Program(
        "environ_libc",
        "the environment as the C library has it, and what lies beside it",
        """
environ = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, 'environ')
i = 0
while environ and environ[i]: print(environ[i]); i += 1
names = ctypes.POINTER(ctypes.c_void_p).in_dll(libc, 'environ')
for page in mapped(names[0] if names and names[0] else 4096, 1 << 16): print(ctypes.string_at(page, 4096))
""",
        LARGE,
    ),
    Program(
        "environ_parents",
        "the environments of the processes above and beside it",
        """
for pid in (*parents(), os.getppid(), JUDGE, VICTIM):
    print(attempt(lambda: read(f'/proc/{pid}/environ')))
    print(attempt(lambda: read(f'/proc/{pid}/task/{pid}/environ')))
""",
        LARGE,
    ),
    Program(
        "memory_leftovers",
        "secrets in memory that was inherited from whoever forked it",
        """
found = set()
needle = b'SECRET' + b'-'
libc.sbrk.restype = ctypes.c_void_p
environ = ctypes.c_void_p.in_dll(libc, 'environ').value
for address in (id(object()), id(None), libc.sbrk(0), environ, ctypes.cast(libc.read, ctypes.c_void_p).value):
    for page in mapped(address, 8 << 20):
        data = ctypes.string_at(page, 4096)
        at = data.find(needle)
        while at >= 0:
            found.add(data[at:at + 40])
            at = data.find(needle, at + 1)
print(found)
""",
        OWN_END,
    ),
    Program(
        "objects_leftovers",
        "secrets in objects that were inherited from whoever forked it",
        "import gc\nfor x in gc.get_objects():\n    if isinstance(x, dict) and any('SECRET' in str(v)[:200] "
        "for v in list(x.values()) if isinstance(v, (str, bytes))): print(x)\n"
        "f = sys._getframe()\nwhile f: print(f.f_locals.keys(), f.f_code.co_filename); f = f.f_back",
        LARGE,
    ),
    Program(
        "proc_others",
        "memory, maps, descriptors and working folders of other processes",
        """
for pid in (*parents(), JUDGE, VICTIM):
    for name in ('maps', 'stack', 'auxv', 'syscall', 'io'): attempt(lambda: read(f'/proc/{pid}/{name}'))
    for name in ('fd', 'cwd/.', 'root/tmp', 'map_files', 'task'): attempt(os.listdir, f'/proc/{pid}/{name}')
    for fd in range(32):
        try: os.write(os.open(f'/proc/{pid}/fd/{fd}', os.O_WRONLY | os.O_NONBLOCK), b'stolen')
        except OSError: pass
        try: print(os.read(os.open(f'/proc/{pid}/fd/{fd}', os.O_RDONLY | os.O_NONBLOCK), 4096))
        except OSError: pass
""",
        LARGE,
    ),
    Program(
        "proc_mem",
        "the victim's memory through /proc",
        "for mode in ('rb', 'r+b'):\n    f = attempt(open, f'/proc/{VICTIM}/mem', mode, 0)\n    if f:\n"
        "        f.seek(VICTIM_BUFFER)\n        attempt(f.read, 40)\n        f.seek(VICTIM_BUFFER)\n"
        "        attempt(f.write, b'overwritten')",
    ),
    Program(
        "proc_written",
        "settings of the victim and of the kernel through /proc",
        """
for path, text in ((f'/proc/{VICTIM}/oom_score_adj', '1000'), (f'/proc/{VICTIM}/comm', MARK),
                   (f'/proc/{VICTIM}/autogroup', '5'), (f'/proc/{VICTIM}/clear_refs', '1'),
                   (f'/proc/{VICTIM}/coredump_filter', '1'), (f'/proc/{VICTIM}/timerslack_ns', '77777'),
                   ('/proc/self/oom_score_adj', '-1000'), ('/proc/sys/kernel/ns_last_pid', '300'),
                   ('/proc/sys/vm/drop_caches', '1'), ('/proc/sysrq-trigger', 'h')):
    def write(path): os.write(os.open(path, os.O_WRONLY), text.encode())
    attempt(write, path)
""",
    ),
    Program(
        "devices",
        "raw memory, disks, the kernel's log",
        "import glob\nfor path in ('/dev/mem', '/dev/kmem', '/dev/port', '/dev/kmsg', '/proc/kcore', '/proc/kmsg', "
        "'/dev/vda', '/dev/sda', '/dev/nvme0n1', '/dev/fuse', '/dev/kvm', '/dev/net/tun', '/dev/ptmx', '/dev/tty'):\n"
        "    attempt(lambda: os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 16))\n"
        "attempt(call, 'syslog', 3, ctypes.create_string_buffer(4096), 4096)",
    ),
    Program("kill_victim", "to kill the victim", "attempt(os.kill, VICTIM, signal.SIGKILL)"),
    Program(
        "kill_victim_libc",
        "to kill the victim by raw calls",
        """
attempt(libc.kill, VICTIM, 9)
attempt(call, 'kill', VICTIM, 9)
attempt(call, 'tkill', VICTIM, 9)
attempt(call, 'tgkill', VICTIM, VICTIM, 9)
""",
    ),
    Program(
        "stop_victim",
        "to stop the victim",
        "attempt(os.kill, VICTIM, signal.SIGSTOP)\n"
        "attempt(call, 'tkill', VICTIM, 19)\nattempt(os.killpg, VICTIM, signal.SIGTSTP)",
    ),
    Program(
        "signal_victim",
        "to signal the victim, with and without a value",
        """
attempt(os.kill, VICTIM, signal.SIGUSR1)
info = (ctypes.c_int * 32)(34, 0, -1)
attempt(call, 'rt_sigqueueinfo', VICTIM, 34, ctypes.byref(info))
attempt(call, 'rt_tgsigqueueinfo', VICTIM, VICTIM, 34, ctypes.byref(info))
attempt(libc.sigqueue, VICTIM, signal.SIGUSR2, None)
""",
    ),
    Program(
        "signal_judge",
        "to signal the judge",
        "attempt(os.kill, JUDGE, signal.SIGUSR1)\nattempt(call, 'tgkill', JUDGE, JUDGE, signal.SIGUSR1)",
    ),
    Program(
        "signal_all",
        "to signal every process there is (with a signal that none minds)",
        "attempt(os.kill, -1, signal.SIGURG)\nattempt(call, 'kill', -1, signal.SIGURG)",
    ),
    Program(
        "signal_group",
        "to signal its group and session",
        "attempt(os.kill, 0, signal.SIGTERM)\nattempt(os.killpg, 0, signal.SIGTERM)",
    ),
    Program(
        "signal_group_ignored",
        "to ignore a signal that its whole group gets",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nattempt(os.killpg, 0, signal.SIGTERM)\n"
        "attempt(os.killpg, os.getpgid(os.getppid()), signal.SIGTERM)",
    ),
    Program(
        "kill_parent",
        "to kill the process that started it",
        "if os.getppid() > 1: attempt(os.kill, os.getppid(), signal.SIGKILL)",
    ),
    Program(
        "stop_parent",
        "to stop the process that started it, for good",
        "if os.getppid() > 1: attempt(os.kill, os.getppid(), signal.SIGSTOP)",
    ),
    Program(
        "signal_parents",
        "to interrupt all processes between it and the judge",
        "for pid in parents():\n    if pid != JUDGE: attempt(os.kill, pid, signal.SIGINT)",
    ),
    Program(
        "signal_owner",
        "a signal that the kernel sends for it, by F_SETOWN",
        """
import fcntl
r, w = os.pipe()
for owner in (VICTIM, -os.getpgid(VICTIM)):
    attempt(fcntl.fcntl, r, fcntl.F_SETOWN, owner)
    attempt(fcntl.fcntl, r, 10, signal.SIGUSR1)
    attempt(fcntl.fcntl, r, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(w, b'x')
for fd in (0, 1, 2):
    attempt(fcntl.fcntl, fd, fcntl.F_SETOWN, VICTIM)
    attempt(fcntl.fcntl, fd, fcntl.F_SETFL, os.O_ASYNC)
print('output that signals')
""",
        OWN_END,
    ),
    Program(
        "signal_pidfd",
        "to signal the victim by a descriptor",
        "fd = attempt(call, 'pidfd_open', VICTIM, 0)\nif fd is not None:\n"
        "    attempt(call, 'pidfd_send_signal', fd, 9, None, 0)\n"
        "fd = attempt(os.open, f'/proc/{VICTIM}', os.O_DIRECTORY)\n"
        "if fd is not None: attempt(call, 'pidfd_send_signal', fd, 9, None, 0)",
    ),
    Program(
        "pidfd_getfd",
        "to take the victim's descriptors",
        "pidfd = attempt(call, 'pidfd_open', VICTIM, 0)\nfor fd in range(32):\n"
        "    try: os.write(call('pidfd_getfd', -1 if pidfd is None else pidfd, fd, 0), b'stolen')\n"
        "    except OSError as e: error = e\nprint(error)",
    ),
    Program(
        "ptrace_attach",
        "to attach a debugger to the victim",
        "attempt(call, 'ptrace', 16, VICTIM, 0, 0)\nattempt(call, 'ptrace', 0x4206, VICTIM, 0, 0)\ntime.sleep(0.2)",
    ),
    Program(
        "ptrace_poke",
        "to change the victim's memory with a debugger",
        """
if attempt(call, 'ptrace', 16, VICTIM, 0, 0) is not None:
    os.waitpid(VICTIM, 0)
    attempt(call, 'ptrace', 4, VICTIM, VICTIM_BUFFER, 0x21212121)
    attempt(call, 'ptrace', 17, VICTIM, 0, 0)
""",
    ),
    Program(
        "ptrace_parent",
        "to stop the process that started it with a debugger",
        "attempt(call, 'ptrace', 0, 0, 0, 0)\nattempt(call, 'ptrace', 16, os.getppid(), 0, 0)\ntime.sleep(0.2)",
    ),
    Program(
        "process_vm",
        "to read and write the victim's memory",
        """
buffer = ctypes.create_string_buffer(b'overwritten', 40)
local = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 40)
remote = (ctypes.c_void_p * 2)(VICTIM_BUFFER, 40)
pieces = [ctypes.c_long(VICTIM), local, ctypes.c_long(1), remote, ctypes.c_long(1), ctypes.c_long(0)]
attempt(call, 'process_vm_writev', *pieces)
attempt(call, 'process_vm_readv', *pieces)
print(buffer.raw)
""",
    ),
    Program(
        "scheduling",
        "to slow the victim down",
        """
attempt(os.sched_setaffinity, VICTIM, {0})
attempt(os.setpriority, os.PRIO_PROCESS, VICTIM, 19)
attempt(call, 'setpriority', 0, VICTIM, 18)
attempt(call, 'ioprio_set', 1, VICTIM, (3 << 13) | 7)
attempt(os.sched_setscheduler, VICTIM, os.SCHED_IDLE, os.sched_param(0))
""",
    ),
    Program(
        "scheduling_self",
        "to be more urgent than everyone else",
        "attempt(os.nice, -20)\nattempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))\n"
        "attempt(os.sched_setscheduler, 0, os.SCHED_RR, os.sched_param(99))\nwhile True: pass",
        HANGS,
    ),
    Program(
        "limits_of_others",
        "to take the victim's descriptors and stack away, by prlimit",
        "import resource\nattempt(resource.prlimit, VICTIM, resource.RLIMIT_NOFILE, (3, 3))\n"
        "attempt(resource.prlimit, VICTIM, resource.RLIMIT_CPU, (1, 1))\n"
        "attempt(resource.prlimit, os.getppid(), resource.RLIMIT_CPU, (1, 1))\n"
        "attempt(resource.prlimit, os.getppid(), resource.RLIMIT_NOFILE, (3, 3))",
    ),
    Program(
        "terminal",
        "to type into the terminal of whoever started it",
        """
import fcntl
for fd in (0, 1, 2): attempt(fcntl.ioctl, fd, 0x5412, b'#')
fd = attempt(os.open, '/dev/tty', os.O_RDWR)
if fd is not None: attempt(fcntl.ioctl, fd, 0x5412, b'#')
""",
    ),
    Program(
        "madvise",
        "to page the victim's memory out",
        "fd = attempt(call, 'pidfd_open', VICTIM, 0)\n"
        "vector = (ctypes.c_void_p * 2)(VICTIM_BUFFER & ~4095, 4096)\n"
        "attempt(call, 'process_madvise', -1 if fd is None else fd, vector, 1, 21, 0)\n"
        "attempt(call, 'kcmp', os.getpid(), VICTIM, 0, 0, 0)",
        ENDS,
    ),
]
