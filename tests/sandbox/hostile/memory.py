"""Memory by every door. Sizes are bounded: 700 MB a program, where the limit is 256."""

from tests.sandbox.hostile.program import ENDS, GROWS, Program

PROGRAMS = [
    Program("bytes", "one large object", "x = bytearray(700 << 20)\nprint(len(x))", ("memory", "timeout")),
    Program(
        "list", "a list that grows", "x = []\nfor _ in range(700): x.append(bytes(1 << 20))", ("memory", "timeout")
    ),
    Program("string", "a string that doubles", "x = 'a'\nfor _ in range(29): x += x", ("memory", "timeout")),
    Program("dict", "a dict that grows", "x = {i: str(i) for i in range(6_000_000)}", GROWS),
    Program(
        "swallowed",
        "as much as there is, again and again, past MemoryError",
        """
kept = []
for _ in range(700):
    try: kept.append(bytearray(b'x') * (1 << 20))
    except MemoryError: pass
print(len(kept))
""",
        GROWS,
    ),
    Program(
        "mmap_private",
        "anonymous maps",
        "import mmap\nkind = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS\n"
        "m = [attempt(mmap.mmap, -1, 100 << 20, flags=kind) for _ in range(7)]\n"
        "for x in m:\n    for i in range(0, len(x or ''), 4096): x[i] = 1",
        GROWS,
    ),
    Program(
        "mmap_shared",
        "shared anonymous maps, which some limits don't count",
        """
import mmap
for _ in range(7):
    x = mmap.mmap(-1, 100 << 20, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    for i in range(0, len(x), 4096): x[i] = 1
    globals()[f'x{_}'] = x
""",
        GROWS,
    ),
    Program(
        "mmap_sparse",
        "a huge map without reserve, touched here and there",
        """
libc.mmap.restype = ctypes.c_void_p
address = libc.mmap(None, ctypes.c_size_t(1 << 40), 3, 0x4022, -1, 0)
print(address)
if address not in (None, 2 ** 64 - 1):
    for i in range(150_000): ctypes.c_char.from_address(address + i * 65536).value = b'x'
""",
        GROWS,
    ),
    Program(
        "mmap_many",
        "100,000 small maps",
        "import mmap\nx = [mmap.mmap(-1, 4096) for _ in range(100_000)]",
        GROWS,
    ),
    Program(
        "malloc",
        "the C library's malloc, touched",
        """
libc.malloc.restype = ctypes.c_void_p
for _ in range(7):
    address = libc.malloc(ctypes.c_size_t(100 << 20))
    print(address)
    if address: ctypes.memset(address, 1, 100 << 20)
""",
        GROWS,
    ),
    Program(
        "brk",
        "the data segment, by sbrk",
        """
libc.sbrk.restype = ctypes.c_void_p
for _ in range(70):
    address = libc.sbrk(ctypes.c_long(10 << 20))
    if address in (None, 2 ** 64 - 1): break
    ctypes.memset(address, 1, 10 << 20)
""",
        GROWS,
    ),
    Program(
        "memfd",
        "files in memory, by memfd_create",
        "fd = attempt(call, 'memfd_create', b'x', 0)\nfor _ in range(700): os.write(fd or 1000, bytes(1 << 20))",
        GROWS,
    ),
    Program(
        "memfd_secret",
        "memory that the kernel itself can't see, by memfd_secret",
        "fd = attempt(call, 'memfd_secret', 0)\nif fd: attempt(os.ftruncate, fd, 1 << 20)",
    ),
    Program(
        "hugetlb",
        "huge pages, in memory and as files",
        "attempt(call, 'memfd_create', b'x', 4)\nimport mmap\n"
        "attempt(mmap.mmap, -1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)",
    ),
    Program(
        "shm_sysv",
        "System V shared memory, which outlives the program",
        """
shm = attempt(call, 'shmget', KEY, 400 << 20, 0o1600)
libc.shmat.restype = ctypes.c_void_p
if shm is not None:
    address = libc.shmat(shm, None, 0)
    ctypes.memset(address, 1, 400 << 20)
""",
        GROWS,
    ),
    Program(
        "shm_posix",
        "POSIX shared memory, which outlives the program",
        """
fd = attempt(libc.shm_open, f'/{MARK}'.encode(), os.O_CREAT | os.O_RDWR, 0o600)
for _ in range(400): os.write(fd, bytes(1 << 20))
""",
        GROWS,
    ),
    Program(
        "shm_python",
        "multiprocessing.shared_memory",
        "from multiprocessing import shared_memory\n"
        "x = shared_memory.SharedMemory(MARK, create=True, size=400 << 20)\nx.buf[:] = bytes(400 << 20)",
        GROWS,
    ),
    Program(
        "stacks",
        "threads with large stacks",
        """
import threading
threading.stack_size(100 << 20)
for _ in range(50): attempt(threading.Thread(target=time.sleep, args=(0.2,)).start)
""",
        GROWS,
    ),
    Program(
        "recursion",
        "Python recursion without limit",
        "sys.setrecursionlimit(10 ** 9)\ndef f(x): return f([x])\nf(0)",
        (*GROWS,),
    ),
    Program(
        "recursion_c",
        "recursion in C, until the stack is full",
        "x = []\nfor _ in range(10 ** 6): x = [x]\nsys.setrecursionlimit(10 ** 9)\nrepr(x)",
        GROWS,
    ),
    Program(
        "numpy",
        "numpy arrays",
        "import numpy\nx = [numpy.ones(100 << 17) for _ in range(7)]\nprint(sum(a.sum() for a in x))",
        ("memory", "timeout"),
    ),
    Program(
        "sympy",
        "a product that sympy expands",
        "import sympy\nx = sympy.symbols('x0:40')\nprint(len(str(sympy.expand(sum(x) ** 12))))",
        (*GROWS, "output"),
    ),
    Program(
        "integer", "an integer of 600 MB", "x = 1 << (8 * 600 << 20)\nprint(x.bit_length())", ("memory", "timeout")
    ),
    Program("bomb_zlib", "a zip bomb", "import zlib\nz = zlib.compress(bytes(500 << 20), 1)", ("memory", "timeout")),
    Program(
        "product",
        "all combinations at once",
        "import itertools\nx = list(itertools.product(range(100), repeat=4))",
        GROWS,
    ),
    Program(
        "pipes",
        "pipes with their buffers set to the largest size, and filled",
        """
import fcntl
pipes = []
for _ in range(500):
    try: pipes.append(os.pipe())
    except OSError as e: print(e); break
    for size in (1 << 20, 65536):
        try: fcntl.fcntl(pipes[-1][1], 1031, size); break
        except OSError: continue
    os.set_blocking(pipes[-1][1], False)
    try:
        while os.write(pipes[-1][1], bytes(65536)): pass
    except BlockingIOError: pass
print(len(pipes))
""",
        GROWS,
    ),
    Program(
        "descriptors",
        "all descriptors there are",
        "fds = []\ntry:\n    while len(fds) < 100_000: fds.append(os.dup(1))\nfinally: print(len(fds))",
    ),
    Program(
        "mlock",
        "memory that can't be swapped out",
        "attempt(libc.mlockall, 3)\nx = bytearray(64 << 20)\nprint(len(x))",
        (*ENDS, "memory"),
    ),
    Program(
        "limit_lifted",
        "a higher memory limit, then 500 MB",
        """
import resource
for name in ('RLIMIT_AS', 'RLIMIT_DATA'):
    attempt(resource.setrlimit, getattr(resource, name), (-1, -1))
    attempt(resource.prlimit, os.getppid(), getattr(resource, name), (-1, -1))
x = bytearray(500 << 20)
""",
        ("memory",),
    ),
]
