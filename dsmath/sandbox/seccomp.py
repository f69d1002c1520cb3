"""The system calls that a model-written program may make, as a seccomp filter for x86-64 and aarch64.

Whatever isn't listed fails with EPERM, as if the user were not allowed to: programs see a PermissionError. There is no
fork and no exec, no socket, no signal to another process, no file mode, owner, time, or attribute to change. Paths are
Landlock's business.

A filter is a program of classic BPF over `struct seccomp_data`: int nr; u32 arch; u64 instruction_pointer; u64 args[6].
Sources: seccomp(2), linux/filter.h, linux/audit.h, asm/unistd_64.h (x86-64), asm-generic/unistd.h (aarch64).
"""

import dataclasses
import errno
import fcntl
import os
import struct
import termios

# name: numbers on (x86-64, aarch64); None where an architecture lacks it.
_ALWAYS = {
    # descriptors
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "lseek": (8, 62),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "sendfile": (40, 71),
    "recvmsg": (47, 212),  # for the program itself to be handed over; no socket is left when it starts
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "epoll_create": (213, None),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "eventfd": (284, None),
    "eventfd2": (290, 19),
    "timerfd_create": (283, 85),
    "timerfd_settime": (286, 86),
    "timerfd_gettime": (287, 87),
    "signalfd": (282, None),
    "signalfd4": (289, 74),
    # paths, where Landlock says what may be read
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "umask": (95, 166),
    # memory
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "msync": (26, 227),
    "mincore": (27, 232),
    "membarrier": (324, 283),
    # signals to itself, and timers
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132),
    "pause": (34, None),
    "alarm": (37, None),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "restart_syscall": (219, 128),
    # threads
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "set_tid_address": (218, 96),
    "arch_prctl": (158, None),
    "gettid": (186, 178),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "getcpu": (309, 168),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "wait4": (61, 260),
    "waitid": (247, 95),
    # clocks and questions
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "getrandom": (318, 278),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "getgroups": (115, 158),
    "getpgrp": (111, None),
    "getpgid": (121, 155),
    "getsid": (124, 156),
    "getpriority": (140, 141),
    "getrlimit": (97, 163),
    "setrlimit": (160, 164),  # hard limits don't go up again
    "capget": (125, 90),
}

OWN_PID = -1  # stands for the process id until there is one
_CLONE_THREAD = 0x00010000
_CLONE_OTHERS = 0x7E022000 | 0x00000080  # new namespaces, new time namespace, traced by the caller's tracer
_PR_SET_NAME, _PR_GET_NAME = 15, 16
_FIONREAD, _FIOCLEX, _FIONBIO = termios.FIONREAD, termios.FIOCLEX, termios.FIONBIO
_F_GETPIPE_SZ = 1032

# name: (numbers, argument, mask or None, values of the masked argument that are allowed)
_IF_ARGUMENT = {
    "clone": ((56, 220), 0, _CLONE_THREAD | _CLONE_OTHERS, (_CLONE_THREAD,)),
    "kill": ((62, 129), 0, None, (OWN_PID,)),
    "tgkill": ((234, 131), 0, None, (OWN_PID,)),
    "prlimit64": ((302, 261), 0, None, (0, OWN_PID)),
    "prctl": ((157, 167), 0, None, (_PR_SET_NAME, _PR_GET_NAME)),
    "fcntl": (
        (72, 25),
        1,
        None,
        (
            *(fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC, fcntl.F_GETFD, fcntl.F_SETFD),
            *(fcntl.F_GETFL, fcntl.F_SETFL, _F_GETPIPE_SZ),
        ),
    ),
    "ioctl": ((16, 29), 1, None, (termios.TCGETS, _FIONREAD, _FIOCLEX, _FIONBIO)),
}
# Opening to read must not truncate, which Landlock before ABI 3 would not notice.
_OPEN = {"open": ((2, None), 1), "openat": ((257, 56), 2)}
# glibc falls back to clone, whose flags lie in a register, where a filter can read them.
_CLONE3 = (435, 435)

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # `uname -m`: column above, AUDIT_ARCH

# BPF_LD+W+ABS, ALU+AND+K, JMP+JA, JMP+JEQ+K, JMP+JGE+K, RET+K
_LOAD, _AND, _JUMP, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x05, 0x15, 0x35, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets; the low half of an argument comes first
_FARTHEST = 255  # a conditional jump
_INSTRUCTION = struct.Struct("=HBBI")
INSTRUCTION_BYTES = _INSTRUCTION.size

_Code = list[tuple[int, int, int, int]]  # (operation, skipped if true, skipped if false, operand)
_KILL: _Code = [(_RETURN, 0, 0, 0x80000000)]
_ALLOW: _Code = [(_RETURN, 0, 0, 0x7FFF0000)]
_FAIL: _Code = [(_RETURN, 0, 0, 0x00050000 | errno.EPERM)]
_MISSING: _Code = [(_RETURN, 0, 0, 0x00050000 | errno.ENOSYS)]


@dataclasses.dataclass(frozen=True)
class Filter:
    """A filter, ready but for the process id that it lets through."""

    code: bytes
    own_pid_at: tuple[int, ...]  # byte offsets of the 32-bit operands that want it

    def fill(self, code: bytearray | memoryview, pid: int) -> None:
        """Complete a copy of `code` for one process."""
        for offset in self.own_pid_at:
            struct.pack_into("=I", code, offset, pid)


def assemble(machine: str = os.uname().machine) -> Filter:
    """The filter of one of ARCHITECTURES.

    A tree of comparisons: the kernel runs a new filter once for every system call, to know which it always allows.
    """
    column, audit_arch = ARCHITECTURES[machine]
    leaves = {numbers[column]: _ALLOW for numbers in _ALWAYS.values()}
    leaves |= {
        numbers[column]: _if_argument(index, mask, values) for numbers, index, mask, values in _IF_ARGUMENT.values()
    }
    leaves |= {numbers[column]: _if_no_truncation(argument) for numbers, argument in _OPEN.values()}
    leaves |= {_CLONE3[column]: _MISSING}
    known = {number: leaf for number, leaf in leaves.items() if number is not None}  # others: the other architecture's
    program = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, len(_KILL), 0, audit_arch),
        *_KILL,
        (_LOAD, 0, 0, _NUMBER),
        *_tree(_ranges(known)),
    ]
    operand = INSTRUCTION_BYTES - 4
    at = tuple(i * INSTRUCTION_BYTES + operand for i, step in enumerate(program) if step[3] == OWN_PID)
    return Filter(b"".join(_INSTRUCTION.pack(*step[:3], max(step[3], 0)) for step in program), at)


def _ranges(leaves: dict[int, _Code]) -> list[tuple[int, _Code]]:
    """From code by number to the first number of each range with the same code; what has none fails."""
    ranges = [(0, _FAIL)]
    for number in sorted({n for first in leaves for n in (first, first + 1)}):
        code = leaves.get(number, _FAIL)
        if code != ranges[-1][1]:
            ranges.append((number, code))
    return ranges


def _tree(ranges: list[tuple[int, _Code]]) -> _Code:
    """Find the range that the loaded number lies in, and go on with its code."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = _tree(ranges[:middle]), _tree(ranges[middle:])
    if len(below) <= _FARTHEST:
        return [(_AT_LEAST, len(below), 0, ranges[middle][0]), *below, *above]
    return [(_AT_LEAST, 0, 1, ranges[middle][0]), (_JUMP, 0, 0, len(below)), *below, *above]


def _if_argument(argument: int, mask: int | None, values: tuple[int, ...]) -> _Code:
    """Allow some values of an argument's low 32 bits, all that the kernel reads of these arguments."""
    test = [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument)]
    if mask is not None:
        test.append((_AND, 0, 0, mask))
    for value in values:
        test += [(_EQUAL, 0, len(_ALLOW), value), *_ALLOW]
    return test + _FAIL


def _if_no_truncation(argument: int) -> _Code:
    """Allow all flags of an open but those that truncate a file that is opened to be read."""
    flags = [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument), (_AND, 0, 0, os.O_ACCMODE | os.O_TRUNC)]
    return [*flags, (_EQUAL, 0, len(_FAIL), os.O_RDONLY | os.O_TRUNC), *_FAIL, *_ALLOW]
