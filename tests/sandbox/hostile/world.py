"""What one hostile program is set upon, and how its damage is found: all of it from outside.

Names of everything that a program makes carry the world's mark, so that what it leaves behind can be told from what
others do on the same machine, and be taken away.
"""

import contextlib
import ctypes
import glob
import json
import os
import secrets
import select
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

HERE = Path(__file__).parent
PRELUDE = (HERE / "prelude.py").read_text()
SOURCE_SECRET = "What one hostile program is set upon"  # in this file, which nobody may read
GRACE_S = 0.5  # for processes to vanish after their program's end
ANSWER_S = 5.0  # for the victim to answer
FIRST_KEY = 0x48580000  # of System V objects
SYSV_REMOVE = {"shm": ("shmctl", 0), "sem": ("semctl", 0), "msg": ("msgctl", 0)}  # IPC_RMID is 0
libc = ctypes.CDLL(None, use_errno=True)


class World:
    """A canary, a victim and listeners for one program. Close it to get rid of them and of what the program left."""

    def __init__(self, index: int, home: Path, env_secret: str):
        self.mark = f"hx{os.getpid() % 10**6}-{index:03d}"  # fits the 15 characters of a process's name
        self.key = FIRST_KEY + index
        self.folder = home / f"world-{index:03d}"  # without the mark: it is no leftover
        self.secrets = {
            name: "SECRET-" + secrets.token_hex(16) for name in ("canary file", "canary attribute", "file name")
        }
        self.secrets |= {"environment": env_secret, "source of the tests": SOURCE_SECRET}
        self.folder.mkdir()
        self.canary = self.folder / "canary"
        self.canary.write_text(f"x = '{self.secrets['canary file']}'\n")
        (self.folder / "other").write_text("another file\n")
        (self.folder / self.secrets["file name"]).touch()
        with contextlib.suppress(OSError):  # no such attributes on this file system
            os.setxattr(self.canary, "user.canary", self.secrets["canary attribute"].encode())
        self._listen()
        self._start_victim()
        self.before = self._files()

    def program(self, code: str) -> str:
        """A program's source: the constants of this world, the prelude, the code."""
        constants = {
            "MARK": self.mark,
            "KEY": self.key,
            "FOLDER": str(self.folder),
            "CANARY": str(self.canary),
            "HOME": str(self.folder.parent),
            "SOURCE": __file__,
            "JUDGE": os.getpid(),
            "VICTIM": self.victim.pid,
            "VICTIM_BUFFER": self.answer["buffer"],
            "TCP": self.ports["tcp"],
            "UDP": self.ports["udp"],
            "UNIX": str(self.folder / "stream"),
            "UNIX_DATAGRAM": str(self.folder / "datagram"),
        }
        return "\n".join(f"{name} = {value!r}" for name, value in constants.items()) + f"\n{PRELUDE}\n{code}"

    def breaches(self, *outputs: str) -> list[str]:
        """All damage, one line each. `outputs` are the texts that came out of the program."""
        found = [f"secret shown: {name}" for name, value in self.secrets.items() if any(value in o for o in outputs)]
        found += self._changed_files()
        found += [f"connection: {name}" for name, s in self.listeners.items() if select.select([s], [], [], 0)[0]]
        found += self._changed_victim()
        found += [f"left file: {path}" for path in self._left_files()]
        found += [f"left System V {kind}" for kind, _ in self._left_sysv()]
        if any(self.mark in line for line in _lines("/proc/keys")):
            found.append("left key")
        if any(str(self.folder) in line for line in _lines("/proc/self/mounts")):
            found.append("left mount")
        if libc.mq_unlink(f"/{self.mark}".encode()) == 0:
            found.append("left message queue")
        end = time.monotonic() + GRACE_S
        while (left := marked(self.mark)) and time.monotonic() < end:
            time.sleep(0.01)
        return found + [f"left process: {pid}" for pid in left]

    def close(self) -> None:
        """Remove everything, the program's leftovers included."""
        for pid in marked(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.victim.kill()
        self.victim.communicate()
        os.close(self.loot)
        for listener in self.listeners.values():
            listener.close()
        for kind, id in self._left_sysv():
            getattr(libc, SYSV_REMOVE[kind][0])(id, 0, 0)
        if any(str(self.folder) in line for line in _lines("/proc/self/mounts")):
            libc.umount2(str(self.folder).encode(), 2)
        for path in [*self._left_files(), self.folder]:
            _remove(path)

    def _listen(self) -> None:
        tcp = socket.create_server(("127.0.0.1", 0))
        self.listeners = {"tcp": tcp}
        self.ports = {"tcp": tcp.getsockname()[1]}
        with contextlib.suppress(OSError):  # a machine without IPv6
            self.listeners["tcp6"] = socket.create_server(("::1", self.ports["tcp"]), family=socket.AF_INET6)
        for name, family, kind, address in (
            ("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            ("unix", socket.AF_UNIX, socket.SOCK_STREAM, str(self.folder / "stream")),
            ("unix datagram", socket.AF_UNIX, socket.SOCK_DGRAM, str(self.folder / "datagram")),
            ("abstract", socket.AF_UNIX, socket.SOCK_STREAM, "\0" + self.mark),
        ):
            self.listeners[name] = socket.socket(family, kind)
            self.listeners[name].bind(address)
            if kind == socket.SOCK_STREAM:
                self.listeners[name].listen()
        self.ports["udp"] = self.listeners["udp"].getsockname()[1]

    def _start_victim(self) -> None:
        self.loot, write = os.pipe()
        os.set_blocking(self.loot, False)
        self.victim = subprocess.Popen(
            [sys.executable, "-S", "-E", HERE / "victim.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            pass_fds=(write,),
            start_new_session=True,
        )
        os.close(write)
        self.answer = self._ask(b"")
        if self.answer is None:
            raise RuntimeError("the victim did not start")
        self.secrets["victim's memory"] = self.answer["secret"]

    def _ask(self, line: bytes) -> dict | None:
        try:
            self.victim.stdin.write(line)
            self.victim.stdin.flush()
        except BrokenPipeError:
            return None
        answered = select.select([self.victim.stdout], [], [], ANSWER_S)[0]
        try:
            return json.loads(self.victim.stdout.readline()) if answered else None
        except ValueError:  # it has ended, or someone else wrote in its place
            return None

    def _changed_victim(self) -> list[str]:
        now = self._ask(b"?\n")
        if now is None:
            return [f"victim does not answer; its exit status: {self.victim.poll()}"]
        changed = [f"victim changed: {name} {self.answer[name]} to {now[name]}" for name in now]
        changed = [text for text, name in zip(changed, now, strict=True) if now[name] != self.answer[name]]
        with contextlib.suppress(BlockingIOError):
            if os.read(self.loot, 100):
                changed.append("victim's pipe was written to")
        return changed

    def _files(self) -> dict[str, object]:
        """State of the folder and what lies in it, by name."""
        files: dict[str, object] = {"entries": sorted(os.listdir(self.folder))}
        for name in (".", *files["entries"]):
            path = self.folder / name
            stat = path.lstat()
            files[name] = (stat.st_mode, stat.st_uid, stat.st_nlink, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        with contextlib.suppress(OSError):
            files["attributes"] = [(name, os.getxattr(self.canary, name)) for name in os.listxattr(self.canary)]
        files["content"] = self.canary.read_bytes()
        return files

    def _changed_files(self) -> list[str]:
        try:
            now = self._files()
        except OSError as e:
            return [f"canary gone: {e}"]
        names = sorted(now.keys() | self.before.keys())
        return [f"file changed: {name}" for name in names if now.get(name) != self.before.get(name)]

    def _left_files(self) -> list[str]:
        return [path for folder in watched_folders() for path in glob.glob(f"{folder}/*{self.mark}*")]

    def _left_sysv(self) -> list[tuple[str, int]]:
        """Kind and id of each System V object of this world."""
        rows = [(kind, line.split()) for kind in SYSV_REMOVE for line in _lines(f"/proc/sysvipc/{kind}")[1:]]
        return [(kind, int(row[1])) for kind, row in rows if int(row[0]) == self.key]


def watched_folders() -> set[str]:
    """Where programs may leave files."""
    python = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    own = {os.getcwd(), os.environ["HOME"], os.environ["TMPDIR"], f"{os.environ['HOME']}/world-*"}
    caches = {os.path.dirname(json.__cached__), os.path.dirname(json.__file__)}
    return own | python | caches | {"/tmp", "/var/tmp", "/dev/shm", "/dev", "/run", "/run/lock", "/", "/var/run"}


def processes() -> dict[int, tuple[str, str, int]]:
    """Name, state and parent of every process, by id."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(")")
                state, parent = rest.split()[:2]
                found[int(entry)] = (name, state, int(parent))
    return found


def marked(mark: str) -> list[int]:
    """The processes, zombies apart, that carry a mark as their name."""
    return [pid for pid, (name, state, _) in processes().items() if name == mark and state != "Z"]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:  # a kernel without it
        return []


def _remove(path: str | Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if os.path.islink(path) or not os.path.isdir(path):
            os.unlink(path)
        else:
            os.chmod(path, 0o700)
            shutil.rmtree(path)
