"""The filters of both architectures, run by an interpreter of classic BPF: what would be allowed, what would not."""

import errno
import struct

import pytest

from dsmath.sandbox import seccomp

PID = 4321
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = (0x00050000 | number for number in (errno.EPERM, errno.ENOSYS))
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# From the kernel's tables; None: no such call there.
NUMBERS = {
    "read": (0, 63),
    "openat": (257, 56),
    "clone": (56, 220),
    "clone3": (435, 435),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "prlimit64": (302, 261),
    "prctl": (157, 167),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "futex": (202, 98),
    "exit_group": (231, 94),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "sendto": (44, 206),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138),
    "tkill": (200, 130),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchown": (93, 55),
    "utimensat": (280, 88),
    "truncate": (76, 45),
    "setxattr": (188, 5),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "chroot": (161, 51),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "sched_setaffinity": (203, 122),
    "setpriority": (141, 140),
    "personality": (135, 92),
    "inotify_init1": (294, 26),
    "seccomp": (317, 277),
    "landlock_restrict_self": (446, 446),
    "timer_create": (222, 107),
}
ALLOWED = ("read", "openat", "futex", "exit_group")
WITH_ARGUMENTS = ("clone", "clone3", "kill", "tgkill", "prlimit64", "prctl", "fcntl", "ioctl")
THREAD = 0x003D0F00  # the flags with which glibc starts a thread


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request) -> str:
    return request.param


def verdict(machine: str, name_or_number: str | int, *arguments: int, arch: int | None = None) -> int:
    """What the filter returns for a call."""
    number = name_or_number
    if isinstance(number, str):
        number = NUMBERS[number][machine == "aarch64"]
    padded = [a & 0xFFFFFFFFFFFFFFFF for a in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("=iIQ6Q", number, arch or AUDIT_ARCH[machine], 0, *padded)
    unfilled = seccomp.assemble(machine)
    code = bytearray(unfilled.code)
    unfilled.fill(code, PID)
    program = list(struct.iter_unpack("=HBBI", code))
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x05:
                at += operand
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x35:
                at += if_true if accumulator >= operand else if_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"instruction {code:#x}")


@pytest.mark.parametrize("name", ALLOWED)
def test_what_python_needs_is_allowed(machine, name):
    assert verdict(machine, name) == ALLOW


@pytest.mark.parametrize("name", sorted(set(NUMBERS) - {*ALLOWED, *WITH_ARGUMENTS}))
def test_what_reaches_beyond_the_process_fails(machine, name):
    if NUMBERS[name][machine == "aarch64"] is not None:
        assert verdict(machine, name) == EPERM


def test_another_architectures_calls_kill(machine):
    assert verdict(machine, "read", arch=0x40000003) == KILL, "32-bit x86 on the same kernel"


def test_x32_calls_fail():
    assert verdict("x86_64", 0x40000000 | NUMBERS["read"][0]) == EPERM


def test_calls_that_no_list_names_fail(machine):
    column = machine == "aarch64"
    listed = [
        *seccomp._ALWAYS.values(),
        *(first for first, *_ in [*seccomp._IF_ARGUMENT.values(), *seccomp._OPEN.values()]),
    ]
    named = {numbers[column] for numbers in listed} | {NUMBERS["clone3"][column]}
    assert {n for n in range(1024) if verdict(machine, n) == EPERM} >= set(range(1024)) - named


def test_threads_are_allowed_processes_and_namespaces_are_not(machine):
    assert verdict(machine, "clone", THREAD) == ALLOW
    assert verdict(machine, "clone", 17) == EPERM, "fork: SIGCHLD alone"
    assert verdict(machine, "clone", THREAD | 0x10000000) == EPERM, "CLONE_NEWUSER"
    assert verdict(machine, "clone", THREAD | 0x2000) == EPERM, "CLONE_PTRACE"
    assert verdict(machine, "clone3") == ENOSYS


def test_signals_go_to_oneself_only(machine):
    for call in ("kill", "tgkill"):
        assert verdict(machine, call, PID) == ALLOW
        for other in (PID + 1, 0, -1, -PID, 1):
            assert verdict(machine, call, other) == EPERM


def test_limits_are_read_and_set_of_oneself_only(machine):
    assert verdict(machine, "prlimit64", 0) == verdict(machine, "prlimit64", PID) == ALLOW
    assert verdict(machine, "prlimit64", PID + 1) == EPERM


def test_a_read_only_open_does_not_truncate(machine):
    for flags, expected in ((0, ALLOW), (0o1000, EPERM), (0o1001, ALLOW), (0o2001000, EPERM)):
        assert verdict(machine, "openat", 0, 0, flags) == expected


@pytest.mark.parametrize(
    ("call", "argument", "expected"),
    [
        ("prctl", 15, ALLOW),  # PR_SET_NAME
        ("prctl", 4, EPERM),  # PR_SET_DUMPABLE
        ("prctl", 1, EPERM),  # PR_SET_PDEATHSIG
        ("fcntl", 3, ALLOW),  # F_GETFL
        ("fcntl", 8, EPERM),  # F_SETOWN
        ("fcntl", 6, EPERM),  # F_SETLK
        ("fcntl", 1031, EPERM),  # F_SETPIPE_SZ
        ("ioctl", 0x5401, ALLOW),  # TCGETS
        ("ioctl", 0x5412, EPERM),  # TIOCSTI
        ("ioctl", 0x40086602, EPERM),  # FS_IOC_SETFLAGS
    ],
)
def test_calls_of_many_purposes_serve_the_harmless_ones(machine, call, argument, expected):
    position = 0 if call == "prctl" else 1
    assert verdict(machine, call, *([3] * position), argument) == expected
