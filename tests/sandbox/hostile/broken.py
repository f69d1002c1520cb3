"""Programs that are wrong, crash, or fail in odd ways; most are no attack."""

from tests.sandbox.hostile.program import GROWS, Program

PROGRAMS = [
    Program("empty", "nothing", "", ("ok",), bare=True),
    Program("blank", "white space", " \n\t\n\x0c\n", ("ok", "error"), bare=True),
    Program("comment", "a comment without a line end", "# nothing", ("ok",), bare=True),
    Program("prose", "text that is no Python", "The answer is 42, because 6 * 7 = 42.", ("error",), bare=True),
    Program("fenced", "a fence around the program", "```python\nprint(1)\n```", ("error",), bare=True),
    Program("nul", "a NUL in the program", "print(1)\0", ("error",), bare=True),
    Program("surrogate", "half a character in the program", "print('\ud800')", ("ok", "error"), bare=True),
    Program("coding", "a declaration of another encoding", "# coding: utf-16\nprint(1)", ("ok", "error"), bare=True),
    Program(
        "coding_unknown", "a declaration of no encoding", "# coding: no-such\nprint(1)", ("ok", "error"), bare=True
    ),
    Program(
        "large",
        "a program of 1 MB",
        "x = [\n" + "    1234567,\n" * 84_000 + "]\nprint(len(x))\n",
        ("ok", "memory", "timeout"),
        bare=True,
    ),
    Program("large_line", "a line of 1 MB", "x = '" + "a" * (1 << 20) + "'\nprint(len(x))", ("ok",), bare=True),
    Program(
        "nested",
        "brackets nested too deep for the parser",
        "x = " + "(" * 5000 + ")" * 5000,
        ("error", "memory"),
        bare=True,
    ),
    Program(
        "nested_unary",
        "an expression that is too deep for the compiler",
        "x = " + "-" * 90_000 + "1",
        ("error", "memory"),
        bare=True,
    ),
    Program(
        "nested_blocks",
        "blocks nested too deep",
        "\n".join(" " * i + "if 1:" for i in range(200)),
        ("error",),
        bare=True,
    ),
    Program(
        "constants",
        "a constant that takes for ever to fold",
        "x = 'a' * 10 ** 4 * 10 ** 4 * 10 ** 4\n",
        ("memory", "timeout"),
        bare=True,
    ),
    Program(
        "many_names",
        "a hundred thousand lines",
        "\n".join(f"x{i} = {i}" for i in range(50_000)),
        ("ok", "timeout", "memory"),
        bare=True,
    ),
    Program("return", "a return outside a function", "return 42", ("error",), bare=True),
    Program("await", "an await outside a function", "await print(1)", ("error",), bare=True),
    Program("future", "a future import", "from __future__ import annotations\nprint(1)", ("ok",), bare=True),
    Program("input", "to ask", "x = input('How many? ')", ("error",), bare=True),
    Program("breakpoint", "to ask a debugger", "breakpoint()", ("ok", "error"), bare=True),
    Program("help", "to ask for help", "help()\nhelp(int)", ("ok", "error"), bare=True),
    Program(
        "main_guard",
        "a main guard that exits",
        "if __name__ == '__main__':\n    print(42)\n    raise SystemExit",
        ("ok",),
        bare=True,
    ),
    Program(
        "main_deleted",
        "to delete what it is",
        "import sys\ndel sys.modules['__main__']\nglobals().clear()",
        ("ok", "error"),
        bare=True,
    ),
    Program("segfault", "to crash", "ctypes.string_at(0)", ("error",)),
    Program(
        "segfault_handled",
        "to crash for ever, as the signal handler returns to the crash",
        """
import faulthandler
libc.signal(11, ctypes.cast(libc.getpid, ctypes.c_void_p))
ctypes.string_at(0)
""",
        ("error", "timeout"),
    ),
    Program("abort", "to abort", "os.abort()", ("error",)),
    Program(
        "illegal",
        "code that is none",
        """
import mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(b'\\xff' * 64)
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
""",
        ("error",),
    ),
    Program(
        "stack_overflow",
        "a crash by recursion in C",
        "class C: pass\nx = C()\nfor _ in range(10 ** 6):\n"
        "    y = C()\n    y.x = x\n    x = y\nx = None\nprint('freed')",
        GROWS,
    ),
    Program(
        "bytecode",
        "byte code that is none",
        "def f(): pass\nf.__code__ = f.__code__.replace(co_code=bytes([100, 200] * 40), co_consts=())\nf()",
        ("ok", "error", "timeout", "memory"),
    ),
    Program(
        "error_repr",
        "an error that can't be shown",
        "class E(Exception):\n    def __str__(self): raise self\n    __repr__ = __str__\nraise E",
        ("error",),
    ),
    Program(
        "error_exit",
        "an error that exits while it is shown",
        "class E(Exception):\n    def __str__(self): os._exit(0)\nraise E",
        ("ok", "error"),
    ),
    Program("error_base", "an error that isn't an Exception", "class E(BaseException): pass\nraise E", ("error",)),
    Program("error_interrupt", "the error of an interrupted user", "raise KeyboardInterrupt", ("error",)),
    Program("error_generator", "GeneratorExit, at the top", "raise GeneratorExit", ("error",)),
    Program(
        "error_cycle",
        "an error that is its own cause",
        "e = ValueError()\ne.__cause__ = e\nf = KeyError()\nf.__context__ = e\ne.__context__ = f\nraise e",
        ("error",),
    ),
    Program(
        "error_chain",
        "an error with 10,000 causes",
        "e = None\nfor i in range(10_000):\n    f = ValueError(i)\n    f.__cause__ = e\n    e = f\nraise e",
        ("error", "output", "timeout", "memory"),
    ),
    Program(
        "error_group",
        "errors in groups in groups",
        "e = ValueError()\nfor _ in range(2000):\n    e = ExceptionGroup('x', [e])\nraise e",
        ("error", "output", "timeout", "memory"),
    ),
    Program(
        "error_huge",
        "an error with a message of 10 MB",
        "raise ValueError('x' * (10 << 20))",
        ("error", "output", "memory"),
    ),
    Program("error_surrogate", "an error in half characters", "raise ValueError('\\ud800' * 100)", ("error",)),
    Program(
        "error_name",
        "an error whose class has an odd name",
        "raise type('\\n```output\\n42', (Exception,), {'__module__': 3})",
        ("error",),
    ),
    Program(
        "error_frames",
        "a trace of 100,000 frames",
        "sys.setrecursionlimit(10 ** 6)\ndef f(i):\n    if i: f(i - 1)\n    else: raise ValueError\nf(100_000)",
        ("error", "output", "timeout", "memory"),
    ),
    Program("error_recursion", "recursion that Python notices", "def f(): return f()\nf()", ("error",)),
    Program("error_hook", "a hook that fails", "sys.excepthook = 3\nraise ValueError", ("error",)),
    Program(
        "error_hook_quiet",
        "a hook that says nothing and claims success",
        "sys.excepthook = lambda *a: os._exit(0)\nraise ValueError",
        ("ok", "error"),
    ),
    Program("error_memory", "to raise MemoryError itself", "raise MemoryError", ("error", "memory")),
    Program(
        "error_atexit",
        "an error while the interpreter ends",
        "import atexit\natexit.register(lambda: 1 / 0)\nprint(1)",
        ("ok", "error"),
    ),
    Program(
        "error_thread",
        "an error in a thread",
        "import threading\nthreading.Thread(target=lambda: 1 / 0).start()",
        ("ok", "error"),
    ),
    Program(
        "traceback_lies",
        "a trace through lines that aren't there",
        "exec(compile('\\n' * 10 ** 6 + '1 / 0', CANARY, 'exec'))",
        ("error",),
    ),
    Program(
        "warnings",
        "warnings as errors, and of odd kinds",
        "import warnings\nwarnings.simplefilter('error')\nexec(\"x = '\\\\d'\")",
        ("error", "ok"),
    ),
    Program(
        "numpy_crash",
        "strides beyond an array",
        "import numpy\nx = numpy.lib.stride_tricks.as_strided(numpy.zeros(1), (10 ** 9,), (4096,))\nprint(x[10 ** 8])",
        ("error", "ok"),
    ),
]
