"""Files: written anywhere, changed, filled, left behind; what should not be read, read."""

from tests.sandbox.hostile.program import GROWS, Program

LARGE = ("ok", "error", "timeout", "output")

PROGRAMS = [
    Program(
        "write_everywhere",
        "a new file in every folder that may be writable",
        """
import tempfile
for folder in (FOLDER, os.getcwd(), '/tmp', '/var/tmp', '/dev/shm', '/dev', '/run', '/var/run', '/run/lock', '/',
               os.path.expanduser('~'), f'/run/user/{os.getuid()}', '/proc/self/cwd'):
    attempt(open, f'{folder}/{MARK}', 'w')
attempt(open, f'{tempfile.gettempdir()}/{MARK}', 'w')
""",
    ),
    Program(
        "tempfile",
        "the tempfile module",
        "import tempfile\nattempt(tempfile.mkstemp, MARK)\n"
        "attempt(tempfile.mkdtemp, MARK)\nattempt(tempfile.NamedTemporaryFile, delete=False, prefix=MARK)",
    ),
    Program(
        "tmpfile",
        "files without a name, and a name for them afterwards",
        """
for folder in ('/tmp', '/dev/shm', FOLDER):
    fd = attempt(os.open, folder, os.O_TMPFILE | os.O_RDWR)
    if fd is not None:
        attempt(os.write, fd, bytes(1 << 20))
        attempt(call, 'linkat', fd, b'', -100, f'{folder}/{MARK}-linked'.encode(), 0x1000)
        attempt(os.link, f'/proc/self/fd/{fd}', f'{folder}/{MARK}-linked2', follow_symlinks=True)
""",
    ),
    Program(
        "fill_disk",
        "100 MB in /tmp, the working and the home folder",
        "for folder in ('/tmp', '.', FOLDER):\n    f = attempt(open, f'{folder}/{MARK}', 'wb')\n"
        "    for _ in range(100 if f else 0): f.write(bytes(1 << 20))",
        LARGE,
    ),
    Program(
        "fill_shm",
        "100 MB in /dev/shm",
        "f = attempt(open, f'/dev/shm/{MARK}', 'wb')\nfor _ in range(100 if f else 0): f.write(bytes(1 << 20))",
        GROWS,
    ),
    Program(
        "inodes",
        "1,000 empty files and folders",
        "for i in range(500):\n    for folder in ('/tmp', '.'):\n"
        "        try: os.mkdir(f'{folder}/{MARK}-{i}')\n        except OSError as e: error = e\n"
        "        try: os.close(os.open(f'{folder}/{MARK}-f{i}', os.O_CREAT | os.O_WRONLY))\n"
        "        except OSError as e: error = e\nprint(error)",
    ),
    Program(
        "deep_folders",
        "folders in folders, deeper than a recursive removal can go",
        "for _ in range(300):\n    os.mkdir(MARK)\n    os.chdir(MARK)",
    ),
    Program(
        "locked_folder",
        "a folder that its owner can't remove",
        "for folder in ('.', '/tmp', FOLDER):\n    path = f'{folder}/{MARK}'\n    attempt(os.mkdir, path)\n"
        "    attempt(open, path + '/x', 'w')\n    attempt(os.chmod, path, 0)",
    ),
    Program(
        "links",
        "symbolic and hard links",
        "for folder in ('/tmp', '.', FOLDER):\n    attempt(os.symlink, CANARY, f'{folder}/{MARK}-s')\n"
        "    attempt(os.link, CANARY, f'{folder}/{MARK}-h')\n"
        "    attempt(call, 'linkat', -100, CANARY.encode(), -100, f'{folder}/{MARK}-l'.encode(), 0)",
    ),
    Program(
        "special_files",
        "pipes, devices and sockets with names",
        """
import socket
for folder in ('/tmp', '.', FOLDER):
    attempt(os.mkfifo, f'{folder}/{MARK}-p')
    attempt(os.mknod, f'{folder}/{MARK}-n', 0o100600)
    attempt(os.mknod, f'{folder}/{MARK}-d', 0o20600, os.makedev(1, 3))
    s = attempt(socket.socket, socket.AF_UNIX)
    if s: attempt(s.bind, f'{folder}/{MARK}-u')
""",
    ),
    Program(
        "sparse",
        "a file of a terabyte, without content",
        "for folder in ('/tmp', '.', '/dev/shm'):\n"
        "    f = attempt(open, f'{folder}/{MARK}', 'wb')\n    if f: attempt(f.truncate, 1 << 40)",
    ),
    Program(
        "databases",
        "files by way of libraries",
        """
import dbm.dumb, logging, shelve, sqlite3, zipfile
attempt(sqlite3.connect, f'/tmp/{MARK}.db')
c = attempt(sqlite3.connect, ':memory:')
attempt(c.execute, f"attach '{FOLDER}/{MARK}.db' as x")
attempt(c.execute, f"vacuum into '/tmp/{MARK}-v.db'")
attempt(shelve.open, f'/tmp/{MARK}-shelf')
attempt(logging.FileHandler, f'{FOLDER}/{MARK}.log')
attempt(zipfile.ZipFile, f'/tmp/{MARK}.zip', 'w')
attempt(c.execute, f"select load_extension('{CANARY}')")
""",
    ),
    Program(
        "core_dump",
        "a dump of its own memory as a file",
        "import resource\nattempt(resource.setrlimit, resource.RLIMIT_CORE, (-1, -1))\n"
        "attempt(libc.prctl, 4, 1, 0, 0, 0)\nattempt(os.chdir, FOLDER)\nos.abort()",
    ),
    Program(
        "python_poisoned",
        "modules for every later interpreter: .pth, sitecustomize, byte code",
        """
import json, site, sysconfig
for folder in (*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_path('stdlib'),
               os.path.dirname(json.__file__) + '/__pycache__'):
    attempt(os.makedirs, folder, exist_ok=True)
    attempt(open, f'{folder}/{MARK}.pth', 'w')
    attempt(open, f'{folder}/{MARK}.py', 'w')
attempt(open, json.__cached__, 'r+b')
""",
    ),
    Program(
        "import_written",
        "to write a module and to import it",
        "open(f'{MARK}.py', 'w').write('x = 1')\nsys.path.insert(0, '')\n__import__(MARK)",
    ),
    Program(
        "canary_written",
        "to write the canary",
        "for mode in ('w', 'a', 'r+'):\n"
        "    f = attempt(open, CANARY, mode)\n    if f: attempt(f.write, 'gone'); f.close()",
    ),
    Program(
        "canary_written_libc",
        "to write the canary by other calls",
        """
for flags in (1, 2, 0x401, 0x201):
    fd = attempt(call, 'openat', -100, CANARY.encode(), flags, 0)
    if fd is not None: attempt(os.write, fd, b'gone')
how = (ctypes.c_uint64 * 3)(2, 0, 0)
fd = attempt(call, 'openat2', -100, CANARY.encode(), ctypes.byref(how), 24)
if fd is not None: attempt(os.write, fd, b'gone')
attempt(libc.truncate, CANARY.encode(), 0)
attempt(os.truncate, CANARY, 3)
""",
    ),
    Program(
        "canary_removed",
        "to remove the canary",
        "attempt(os.unlink, CANARY)\nattempt(os.remove, CANARY)\n"
        "attempt(call, 'unlinkat', -100, CANARY.encode(), 0)\nimport shutil\nattempt(shutil.rmtree, FOLDER)",
    ),
    Program(
        "canary_renamed",
        "to move the canary, or something over it",
        """
attempt(os.rename, CANARY, CANARY + MARK)
attempt(os.replace, CANARY, f'/tmp/{MARK}')
attempt(os.rename, f'{FOLDER}/other', CANARY)
attempt(os.rename, FOLDER, FOLDER + MARK)
attempt(call, 'renameat2', -100, CANARY.encode(), -100, f'{FOLDER}/other'.encode(), 2)
""",
    ),
    Program(
        "canary_attributes",
        "to change the canary's mode, times and attributes",
        """
for path in (CANARY, FOLDER):
    attempt(os.chmod, path, 0o777)
    attempt(call, 'fchmodat', -100, path.encode(), 0o666)
    attempt(os.chown, path, os.getuid(), os.getgid())
    attempt(os.utime, path, (1, 1))
    attempt(call, 'utimensat', -100, path.encode(), None, 0)
    attempt(os.setxattr, path, 'user.hostile', b'x')
    attempt(os.removexattr, path, 'user.canary')
""",
    ),
    Program(
        "canary_attributes_fd",
        "the same through descriptors",
        """
for flags in (os.O_RDONLY, os.O_PATH, os.O_RDWR):
    fd = attempt(os.open, CANARY, flags)
    if fd is None: continue
    attempt(os.fchmod, fd, 0o777)
    attempt(os.chmod, f'/proc/self/fd/{fd}', 0o777)
    attempt(os.utime, fd, (1, 1))
    attempt(os.utime, f'/proc/self/fd/{fd}', (1, 1))
    attempt(os.setxattr, f'/proc/self/fd/{fd}', 'user.hostile', b'x')
    attempt(os.truncate, f'/proc/self/fd/{fd}', 0)
    attempt(open, f'/proc/self/fd/{fd}', 'w')
""",
    ),
    Program(
        "canary_flags",
        "file locks, leases and notifications on the canary",
        """
import fcntl
fd = attempt(os.open, CANARY, os.O_RDONLY)
if fd is not None:
    attempt(fcntl.flock, fd, fcntl.LOCK_EX)
    attempt(fcntl.fcntl, fd, 1024, fcntl.F_WRLCK)
    attempt(fcntl.ioctl, fd, 0x40086602, (16).to_bytes(8, 'little'))
i = attempt(libc.inotify_init)
attempt(libc.inotify_add_watch, i, CANARY.encode(), 0xfff)
attempt(call, 'fanotify_init', 0, 0)
""",
    ),
    Program(
        "canary_mapped",
        "to write the canary through a map",
        "import mmap\nfd = os.open(CANARY, os.O_RDWR)\nm = mmap.mmap(fd, 0)\nm[:4] = b'gone'\nm.flush()",
    ),
    Program(
        "canary_allocated",
        "to punch a hole into the canary",
        "fd = attempt(os.open, CANARY, os.O_RDWR)\n"
        "attempt(call, 'fallocate', fd or 1000, 3, 0, 4096)\nattempt(os.posix_fallocate, fd or 1000, 0, 8192)",
    ),
    Program("canary_read", "to read the canary", "print(attempt(open, CANARY).read())"),
    Program(
        "canary_read_doors",
        "to read the canary by other calls",
        """
import linecache, mmap, pathlib, runpy, zipfile
attempt(lambda: pathlib.Path(CANARY).read_text())
attempt(linecache.getlines, CANARY)
attempt(lambda: exec(compile(read(CANARY), CANARY, 'exec')))
attempt(runpy.run_path, CANARY)
attempt(lambda: bytes(mmap.mmap(os.open(CANARY, os.O_RDONLY), 0, prot=mmap.PROT_READ)))
attempt(os.getxattr, CANARY, 'user.canary')
attempt(os.listxattr, CANARY)
attempt(os.listdir, FOLDER)
attempt(lambda: list(os.walk(FOLDER)))
""",
    ),
    Program(
        "canary_read_libc",
        "to read the canary through the C library and raw calls",
        """
buffer = ctypes.create_string_buffer(4096)
fd = libc.open(CANARY.encode(), 0)
print(fd, libc.read(fd, buffer, 4096), buffer.value)
fd = attempt(call, 'openat', -100, CANARY.encode(), 0, 0)
if fd is not None: print(os.read(fd, 4096))
how = (ctypes.c_uint64 * 3)(0, 0, 0)
fd = attempt(call, 'openat2', -100, CANARY.encode(), ctypes.byref(how), 24)
if fd is not None: print(os.read(fd, 4096))
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(CANARY.encode(), b'r')
if file:
    libc.fread(buffer, 1, 4096, ctypes.c_void_p(file))
    print(buffer.value)
""",
    ),
    Program(
        "canary_read_path",
        "to read the canary by a descriptor that may not read, opened again",
        """
fd = attempt(os.open, CANARY, os.O_PATH)
if fd is not None:
    for path in (f'/proc/self/fd/{fd}', f'/dev/fd/{fd}', f'/proc/thread-self/fd/{fd}'):
        print(attempt(lambda: read(path)))
    attempt(os.read, fd, 100)
folder = attempt(os.open, FOLDER, os.O_PATH | os.O_DIRECTORY)
if folder is not None:
    print(attempt(lambda: os.read(os.open('canary', os.O_RDONLY, dir_fd=folder), 4096)))
    attempt(os.fchdir, folder)
    print(attempt(lambda: read('canary')))
""",
    ),
    Program(
        "canary_read_handle",
        "to read the canary by its file handle",
        """
handle = ctypes.create_string_buffer((128).to_bytes(4, 'little'), 136)
mount = ctypes.c_int()
attempt(call, 'name_to_handle_at', -100, CANARY.encode(), handle, ctypes.byref(mount), 0)
for at in ('/', '.', FOLDER):
    where = attempt(os.open, at, os.O_RDONLY)
    fd = attempt(call, 'open_by_handle_at', where if where is not None else -100, handle, 0)
    if fd is not None: print(os.read(fd, 4096))
""",
    ),
    Program(
        "canary_read_copied",
        "to have the kernel copy the canary",
        """
fd = attempt(os.open, CANARY, os.O_RDONLY | os.O_NOATIME)
if fd is not None: attempt(os.sendfile, 1, fd, 0, 4096)
import shutil
for target in ('/dev/stdout', '/dev/fd/1', '/proc/self/fd/1'): attempt(shutil.copyfile, CANARY, target)
attempt(os.symlink, CANARY, f'/tmp/{MARK}')
print(attempt(lambda: read(f'/tmp/{MARK}')))
""",
    ),
    Program(
        "canary_read_root",
        "to read the canary by roundabout paths",
        """
for start in ('/proc/self/root', '/proc/self/cwd/' + '../' * 20, '/proc/1/root', f'/proc/{JUDGE}/root',
              f'/proc/{VICTIM}/root', '/proc/self/task/%d/root' % os.getpid(), sys.prefix + '/..' * 20):
    print(attempt(lambda: read(start + CANARY)))
print(attempt(lambda: read(f'/proc/{VICTIM}/cwd/canary')))
""",
    ),
    Program(
        "canary_read_dlopen",
        "to load the canary as a library, a font, a time zone",
        """
import zoneinfo
attempt(ctypes.CDLL, CANARY)
attempt(ctypes.PyDLL, CANARY)
attempt(zoneinfo.ZoneInfo, '../../../..' + CANARY)
os.environ['TZ'] = CANARY
time.tzset()
print(time.tzname)
""",
    ),
    Program(
        "home_read",
        "what lies in home folders",
        """
import glob
for path in {HOME, os.path.expanduser('~')}:
    print(attempt(os.listdir, path))
for path in [*glob.glob(HOME + '/*'), HOME + '/.netrc']:
    print(attempt(lambda: read(path)))
""",
    ),
    Program(
        "judge_read",
        "the source and the working folder of those who run it",
        "for path in (SOURCE, f'/proc/{JUDGE}/cwd/.', os.path.dirname(SOURCE)):\n"
        "    print(attempt(lambda: read(path) if os.path.isfile(path) else os.listdir(path)))",
        LARGE,
    ),
    Program(
        "self_fds",
        "to write through the descriptors that it got",
        """
for fd in range(256):
    for path in (f'/proc/self/fd/{fd}', f'/proc/{os.getppid()}/fd/{fd}'):
        try: print(fd, os.readlink(path), flush=True)
        except OSError: continue
        for flags in (os.O_RDONLY | os.O_NONBLOCK, os.O_RDWR | os.O_NONBLOCK, os.O_WRONLY | os.O_NONBLOCK):
            try: other = os.open(path, flags)
            except OSError: continue
            try: os.write(other, b'through a descriptor')
            except OSError: pass
""",
        LARGE,
    ),
]
