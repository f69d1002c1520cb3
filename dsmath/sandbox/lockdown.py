"""What a process gives up for good: capabilities, files, signals to others, system calls.

Landlock decides about paths, seccomp about system calls; neither needs a privilege. Both are reached through libc's
`syscall` and `prctl`. Sources: landlock(7), seccomp(2), linux/landlock.h.
"""

import ctypes
import os
import resource
import stat
import struct
from collections.abc import Callable, Iterable

from dsmath.sandbox import seccomp

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)

# The same numbers on x86-64 and aarch64.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_ABI_VERSION, _PATH_BENEATH = 1, 1  # flag of create_ruleset, kind of rule
_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}  # ABI: how many rights it knows, the lowest bits
_NET_RIGHTS = 0b11  # bind and connect TCP, from ABI 4
_SCOPES = 0b11  # abstract UNIX sockets and signals, from ABI 6
_LOG_OFF = 0b1  # denials of this program don't reach the kernel's audit log, from ABI 7

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_GET_SECCOMP, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 21, 22, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL = 36, 38, 47, 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522


class LockdownError(OSError):
    """The kernel refused a step; its name comes first."""


def _check(result: int, step: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise LockdownError(number, f"{step}: {os.strerror(number)}")
    return result


def _prctl(step: str, option: int, *arguments: int) -> None:
    _check(_libc.prctl(option, *(*arguments, 0, 0, 0, 0)[:4]), step)


def no_new_privileges() -> None:
    """No set-user-ID program raises this process or its children any more; also what Landlock and seccomp ask for."""
    _prctl("no new privileges", _PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """Give up every capability, for good. Root keeps its user id, and no more than what that id owns."""
    capability = 0
    while _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:  # until past the last one
        capability += 1  # without the privilege to drop any, the first call fails
    _libc.prctl(_PR_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)  # older kernels have none
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, bytes(24)), "drop capabilities")


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends; at once if it has ended already."""
    _prctl("die with parent", _PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of descendants that lose theirs."""
    _prctl("adopt orphans", _PR_SET_CHILD_SUBREAPER, 1)


def hide_memory() -> None:
    """No core dumps, no debugger, and /proc files of this process for root alone."""
    _prctl("not dumpable", _PR_SET_DUMPABLE, 0)


def limit(kind: int, value: int) -> None:
    """Set a resource limit (resource.RLIMIT_*) for good, where it is higher."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def landlock_abi() -> int:
    """The kernel's Landlock version; 0 if it has none or it is switched off."""
    none = ctypes.c_void_p(None)
    return max(0, _libc.syscall(_LANDLOCK_CREATE_RULESET, none, ctypes.c_size_t(0), ctypes.c_uint(_ABI_VERSION)))


def landlock_rules(readable: Iterable[str], writable: Iterable[str]) -> int:
    """A descriptor of rules: only these files and folders may be read or written; no TCP, no signals to others.

    Paths that don't exist are left out. Raises LockdownError, also where Landlock is missing.
    """
    abi = landlock_abi()
    rights = (1 << max((n for known, n in _FS_RIGHTS.items() if known <= abi), default=0)) - 1
    attributes = (rights, *([_NET_RIGHTS] if abi >= 4 else []), *([_SCOPES] if abi >= 6 else []))
    packed = struct.pack(f"={len(attributes)}Q", *attributes)
    rules = _check(
        _libc.syscall(_LANDLOCK_CREATE_RULESET, packed, ctypes.c_size_t(len(packed)), ctypes.c_uint(0)), "landlock"
    )
    for paths, allowed in ((readable, _READ_FILE | _READ_DIR), (writable, _READ_FILE | _WRITE_FILE | _TRUNCATE)):
        for path in paths:
            _allow(rules, path, allowed & rights)
    return rules


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            rights &= ~_READ_DIR
        rule = struct.pack("=Qi", rights, beneath)
        _check(_libc.syscall(_LANDLOCK_ADD_RULE, rules, _PATH_BENEATH, rule, ctypes.c_uint(0)), f"landlock: {path}")
    finally:
        os.close(beneath)


def restrict_files(rules: int) -> None:
    """Put this process, of one thread, under the rules."""
    flags = _LOG_OFF if landlock_abi() >= 7 else 0
    _check(_libc.syscall(_LANDLOCK_RESTRICT_SELF, rules, ctypes.c_uint(flags)), "landlock")


def has_seccomp() -> bool:
    """Whether there are seccomp filters in this kernel, and one of ours for this architecture."""
    return os.uname().machine in seccomp.ARCHITECTURES and _libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def call_rules(program: seccomp.Filter) -> Callable[[], None]:
    """A function that puts its process, of one thread, under the seccomp filter.

    What it takes is made here, once, and not in every child.
    """
    code = ctypes.create_string_buffer(program.code, len(program.code))
    instructions = len(program.code) // seccomp.INSTRUCTION_BYTES
    header = ctypes.create_string_buffer(struct.pack("@HP", instructions, ctypes.addressof(code)))

    def restrict_calls() -> None:
        program.fill(memoryview(code), os.getpid())
        _prctl("seccomp", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header))

    return restrict_calls
