"""Sockets of every family, and what gets around them."""

from tests.sandbox.hostile.program import ENDS, Program

OWN_END = ("ok", "error", "timeout")

PROGRAMS = [
    Program(
        "tcp",
        "to connect to a local server",
        "import socket\nprint(socket.create_connection(('127.0.0.1', TCP), 1).send(b'x'))",
    ),
    Program(
        "tcp6",
        "to connect to a local server, by IPv6",
        "import socket\nfor host in ('::1', '::ffff:127.0.0.1'): attempt(socket.create_connection, (host, TCP), 1)",
    ),
    Program(
        "udp",
        "to send a datagram",
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', UDP))",
    ),
    Program(
        "unix",
        "to connect to a socket in a folder",
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect(UNIX)\ns.send(b'x')",
    ),
    Program(
        "unix_datagram",
        "to send to a socket in a folder",
        "import socket\nsocket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', UNIX_DATAGRAM)",
    ),
    Program(
        "abstract",
        "to connect to a socket without a folder",
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect(chr(0) + MARK)\ns.send(b'x')",
    ),
    Program(
        "http",
        "to fetch a page",
        "import urllib.request\nurllib.request.urlopen(f'http://127.0.0.1:{TCP}/', timeout=0.3)",
    ),
    Program(
        "asyncio",
        "to connect from an event loop",
        "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', TCP))",
        OWN_END,
    ),
    Program(
        "resolve",
        "to ask for the address of a name that can't exist",
        "import socket\nattempt(socket.getaddrinfo, MARK + '.invalid', 80)\nattempt(socket.gethostbyname, 'localhost')",
        OWN_END,
    ),
    Program(
        "libc_connect",
        "to connect by raw calls",
        """
import struct
address = struct.pack('=H', 2) + TCP.to_bytes(2, 'big') + bytes([127, 0, 0, 1]) + bytes(8)
fd = attempt(call, 'socket', 2, 1, 0)
if fd is not None: attempt(call, 'connect', fd, address, 16)
fd = libc.socket(2, 1, 0)
print(libc.connect(fd, address, 16))
fd = attempt(call, 'socket', 2, 2, 0)
if fd is not None:
    address = struct.pack('=H', 2) + UDP.to_bytes(2, 'big') + bytes([127, 0, 0, 1]) + bytes(8)
    attempt(call, 'sendto', fd, b'x', 1, 0, address, 16)
""",
    ),
    Program(
        "every_family",
        "a socket of every family and kind",
        "import socket\nfor family in range(46):\n    for kind in (1, 2, 3, 5, 10):\n"
        "        try: print(family, kind, socket.socket(family, kind))\n        except OSError as e: error = e\n"
        "print(error)",
    ),
    Program(
        "socket_i386",
        "to connect by the call of 32-bit programs",
        """
import mmap
if os.uname().machine == 'x86_64':
    # mov eax, 359 (socket); push rbx; mov ebx, 2; mov ecx, 1; xor edx, edx; int 0x80; pop rbx; ret
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex('b86701000053bb02000000b90100000031d2cd805bc3'))
    fd = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    print(fd)
    if fd > 0:
        address = bytes([2, 0]) + TCP.to_bytes(2, 'big') + bytes([127, 0, 0, 1]) + bytes(8)
        print(libc.connect(fd, address, 16))
""",
    ),
    Program(
        "netlink",
        "to talk to the kernel's network settings",
        "import socket\ns = socket.socket(16, 3, 0)\ns.bind((0, 0))\nprint(s.getsockname())",
    ),
    Program(
        "packet",
        "raw packets",
        "import socket\nattempt(socket.socket, 17, 3, 0x300)\n"
        "attempt(socket.socket, 2, 3, 1)\nattempt(socket.socket, 2, 3, 255)",
    ),
    Program(
        "vsock",
        "to connect to the host of a virtual machine",
        "import socket\ns = socket.socket(40, 1)\ns.settimeout(0.2)\ns.connect((1, 1024))",
    ),
    Program("alg", "the kernel's cryptography", "import socket\ns = socket.socket(38, 5)\ns.bind(('hash', 'sha256'))"),
    Program(
        "socketpair",
        "a pair of sockets, for passing descriptors on",
        "import socket\na, b = socket.socketpair()\na.send(b'x')\nprint(b.recv(1))",
    ),
    Program(
        "listen",
        "to be a server",
        "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\nprint(s.getsockname())\ns.accept()",
        OWN_END,
    ),
    Program(
        "io_uring",
        "a queue through which the kernel does what a filter forbids",
        "parameters = (ctypes.c_uint32 * 30)()\nfd = attempt(call, 'io_uring_setup', 4, ctypes.byref(parameters))\n"
        "attempt(call, 'io_uring_enter', -1 if fd is None else fd, 0, 0, 0, None, 0)",
        ENDS,
    ),
    Program(
        "mail",
        "to send mail, to talk to a daemon, by libraries",
        "import ftplib, smtplib, logging.handlers, xmlrpc.client\n"
        "attempt(smtplib.SMTP, '127.0.0.1', TCP, timeout=0.2)\nattempt(ftplib.FTP, f'127.0.0.1', timeout=0.2)\n"
        "attempt(logging.handlers.SysLogHandler, ('127.0.0.1', UDP))\n"
        "attempt(lambda: xmlrpc.client.ServerProxy(f'http://127.0.0.1:{TCP}').x())",
        OWN_END,
    ),
]
