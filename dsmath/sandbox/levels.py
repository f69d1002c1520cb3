"""How well programs are contained here: four levels, each found out by trying.

L0  own process, resource limits, timers, output cap, no capabilities, orphans swept up: holds off accidents.
L1  and Landlock with a seccomp allow-list: no file but libraries to read, none to write, no process, no socket.
L2  and bubblewrap: namespaces of its own, so that files and processes of the host don't even show.
L3  and a cgroup around all programs together, with limits on memory and tasks.

"external" is for a user who has put the whole evaluation into a sandbox, such as a gVisor pod: nothing is required.
"""

import importlib.util
import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

import dsmath
from dsmath import config
from dsmath.error import UserError
from dsmath.sandbox import lockdown

LEVELS = ("L0", "L1", "L2", "L3")
EXTERNAL = "external"
TASKS = 4096  # of all programs of a sandbox together, at L3
EXTRA_MEMORY_MB = 1024  # for the zygotes, at L3

_LIBRARIES = ("numpy", "mpmath", "sympy")  # may lie where this interpreter's `site` doesn't say
_SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo"),
    *("/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/random", "/dev/zero"),
)

# What no program at L1 can do. {file} is one of the host's that its user may read and write.
_FORBIDDEN = {
    "read a file": "open({file!r}).close()",
    "write a file": "open({file!r}, 'a').close()",
    "make a file": "open({file!r} + '.new', 'w').close(); os.unlink({file!r} + '.new')",
    "change a file's mode": "os.chmod({file!r}, 0o600)",
    "read /proc": "open('/proc/self/environ').close()",
    "write to /dev/shm": "open('/dev/shm/dsmath-probe', 'w').close(); os.unlink('/dev/shm/dsmath-probe')",
    "make a file in memory": "os.memfd_create('probe')",
    "start a process": "os.waitpid(os.fork() or os._exit(0), 0)",
    "execute a file": "try: os.execv('/no such file', ['x'])\nexcept FileNotFoundError: pass",
    "open a socket": "socket.socket()",
    "open a UNIX socket": "socket.socket(socket.AF_UNIX)",
    "signal another process": "os.kill(os.getppid(), 0)",
}
_PROBE = """\
import json, os, socket
done = []
for what, code in {attempts!r}.items():
    try:
        exec(code)
    except OSError:
        continue
    done.append(what)
print(json.dumps({{"does": done, "sees": os.path.exists({file!r})}}))
"""


def site_folders() -> list[str]:
    """Where a program finds its libraries."""
    found = [importlib.util.find_spec(name) for name in _LIBRARIES]
    beside = [str(Path(spec.origin).parents[1]) for spec in found if spec and spec.origin]
    return [folder for folder in dict.fromkeys([*site.getsitepackages(), *beside]) if Path(folder).is_dir()]


def readable() -> list[str]:
    """The files and folders that a program may read: Python, its libraries, the system's, and time zones."""
    python = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sysconfig.get_config_var("LIBDIR")]
    return list(dict.fromkeys([*filter(None, python), *site_folders(), *_SYSTEM]))


def around(limits: config.Sandbox) -> list[str]:
    """What is put before the command of a zygote to reach the required level; nothing up to L1.

    Raises UserError where the tool that it takes isn't installed.
    """
    prefix = []
    if limits.required_level == "L3":
        memory_mb = limits.workers * limits.memory_mb + EXTRA_MEMORY_MB
        prefix += [
            *(_find("systemd-run", "L3", "it comes with systemd"), "--scope", "--quiet", "--collect"),
            *([] if os.geteuid() == 0 else ["--user"]),
            *("-p", f"MemoryMax={memory_mb}M", "-p", "MemorySwapMax=0", "-p", f"TasksMax={TASKS}", "--"),
        ]
    if limits.required_level in ("L2", "L3"):
        prefix += _bubblewrap(limits.required_level)
    return prefix


def _bubblewrap(level: str) -> list[str]:
    interpreter = {sys.executable, os.path.realpath(sys.executable), str(Path(sys.prefix) / "pyvenv.cfg")}
    package = str(Path(dsmath.__file__).parent)
    shown = [path for path in (*readable(), *sorted(interpreter), package) if not path.startswith("/dev/")]
    return [
        _find("bwrap", level, "apt-get install bubblewrap"),
        *("--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
        *(part for path in shown for part in ("--ro-bind-try", path, path)),
        *("--chdir", "/", "--"),
    ]


def _find(tool: str, level: str, way_out: str) -> str:
    found = _which(tool)
    if found is None:
        raise UserError(f"config.sandbox.required_level is {level}, which takes {tool}; it is not here: {way_out}")
    return found


def _which(tool: str) -> str | None:
    """Where a tool is: on the path, or beside this interpreter."""
    return shutil.which(
        tool, path=os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    )


def probe(file: str) -> str:
    """The program that tries what it should not be able to do; {file} is there, readable and writable for its user."""
    attempts = {what: code.format(file=file) for what, code in _FORBIDDEN.items()}
    return _PROBE.format(attempts=attempts, file=file)


def judge(printed: str, zygote_pid: int) -> tuple[str, list[str]]:
    """The level that a probe's output shows, and what its program could do that it should not."""
    found = json.loads(printed)
    if found["does"]:
        return "L0", found["does"]
    if found["sees"]:
        return "L1", []
    return ("L3" if _in_own_cgroup(zygote_pid) else "L2"), []


def _in_own_cgroup(pid: int) -> bool:
    """Whether a process is in a cgroup other than ours that limits memory and tasks."""
    theirs, ours = (Path(f"/proc/{p}/cgroup").read_text().splitlines()[-1] for p in (pid, "self"))
    folder = Path("/sys/fs/cgroup") / theirs.rpartition(":")[2].lstrip("/")
    limits = [folder / name for name in ("memory.max", "pids.max")]
    return theirs != ours and all(limit.exists() and limit.read_text().strip() != "max" for limit in limits)


def missing() -> list[str]:
    """What this kernel lacks for L1, each with the way to get it."""
    lacks = []
    if lockdown.landlock_abi() == 0:
        lacks.append("Landlock is off (it takes Linux 5.13 or newer, with landlock in the kernel's lsm= list)")
    if not lockdown.has_seccomp():
        lacks.append(f"no seccomp filter on {os.uname().machine} (x86-64 and aarch64 have one)")
    return lacks


def facts() -> dict[str, str]:
    """What the levels depend on, as `dsmath doctor` shows it."""
    abi = lockdown.landlock_abi()
    namespaces = "unknown (no unshare)"
    if unshare := _which("unshare"):
        tried = subprocess.run([unshare, "--user", "--map-root-user", "true"], capture_output=True, check=False)
        namespaces = "no" if tried.returncode else "yes"
    return {
        "kernel": f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        "user": f"{os.geteuid()}" + (" (root)" if os.geteuid() == 0 else ""),
        "Landlock": f"ABI {abi}" if abi else "none",
        "seccomp": "filter" if lockdown.has_seccomp() else "none",
        "user namespaces": namespaces,
        "bubblewrap": _which("bwrap") or "not installed",
        "systemd-run": _which("systemd-run") or "not installed",
    }
