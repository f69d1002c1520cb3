"""One program's process, from the fork of the zygote to its end: lock down, receive the program, run it as `__main__`.

Nothing here runs in the process that owns the sandbox. What a program can reach is a copy of the zygote's memory, which
holds nothing but Python and libraries.
"""

import ast
import atexit
import builtins
import dataclasses
import gc
import itertools
import json
import os
import random
import resource
import socket
import sys
import threading
import traceback
import types
from collections.abc import Callable, Sequence

from dsmath.sandbox import lockdown

ACCEPTED = b"\x01"  # sent by a child that is locked down and has its program
MEMORY_STATUS = 112  # exit status after an uncaught MemoryError
OPEN_FILES = 64


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a child is allowed. The last two are None where the kernel lacks them or none were asked for."""

    cpu_s: int  # a backstop behind the zygote's own measurement
    landlock: int | None  # descriptor
    restrict_calls: Callable[[], None] | None  # made by lockdown.call_rules


def main(channel: socket.socket, rules: Rules, zygote: int) -> None:
    """Be the child that waits on `channel` for one program, and run it. Doesn't return."""
    try:
        _lock_down(channel, rules, zygote)
        program = _receive(channel)
    except BaseException:  # noqa: BLE001  nobody above may go on in this process
        traceback.print_exc()  # to the zygote's log
        os._exit(1)
    status = 1
    try:
        channel.close()
        random.seed(0)  # a fork seeds it from the system
        text = os.pread(program, os.fstat(program).st_size, 0)
        os.close(program)
        status = run(**json.loads(text))
    except MemoryError:  # the program itself is too large
        status = MEMORY_STATUS
    finally:
        os._exit(status)


def _lock_down(channel: socket.socket, rules: Rules, zygote: int) -> None:
    lockdown.die_with_parent(zygote)
    os.setsid()
    stdin = os.open(os.devnull, os.O_RDONLY)  # one of its own: flags of an open file are shared by all who inherit it
    os.dup2(stdin, 0)
    keep = {descriptor for descriptor in (channel.fileno(), rules.landlock) if descriptor is not None}
    for low, high in itertools.pairwise([2, *sorted(keep), os.sysconf("SC_OPEN_MAX")]):
        os.closerange(low + 1, high)
    lockdown.limit(resource.RLIMIT_CPU, rules.cpu_s)
    lockdown.limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    if rules.landlock is not None:
        lockdown.restrict_files(rules.landlock)
        os.close(rules.landlock)
    if rules.restrict_calls is not None:
        rules.restrict_calls()


def _receive(channel: socket.socket) -> int:
    """The program's descriptor; its output goes where the sender says. Ends this process if the zygote has closed."""
    _, descriptors, _, _ = socket.recv_fds(channel, 1, 3)
    if not descriptors:
        os._exit(0)
    program, stdout, stderr = descriptors
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.close(stdout)
    os.close(stderr)
    os.write(channel.fileno(), ACCEPTED)
    return program


def run(blocks: Sequence[str], *, value: bool) -> int:
    """Run blocks one after the other in a fresh `__main__`, all but the last in silence; the last one's exit status.

    A block that is run in silence and fails is skipped, as it ended where it failed. With `value`, the value of a last
    expression goes to `sys.displayhook`.
    """
    main = types.ModuleType("__main__")
    vars(main)["__builtins__"] = builtins
    sys.modules["__main__"] = main
    sys.setrecursionlimit(sys.getrecursionlimit() + _depth(sys._getframe()) + 2)  # `exec` counts, here and in runpy
    *earlier, last = blocks
    if earlier:
        _replay(earlier, main.__dict__, value=value)
    try:
        for part in _compiled(last, value=value):
            exec(part, main.__dict__)
        status = 0
    except BaseException as e:  # noqa: BLE001  a program may raise anything
        status = _failed(e)
    del main
    return _finish(status)


def _depth(frame: types.FrameType | None) -> int:
    """How many frames there are, up to the first one."""
    depth = 0
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    return depth


def _compiled(block: str, *, value: bool) -> list[types.CodeType]:
    """A block; or with `value` what stands before its last expression, and that as one that is typed in."""
    whole = compile(block, "<string>", "exec", dont_inherit=True)  # what is wrong with it is said of all of it
    tree = ast.parse(block, "<string>") if value else ast.Module([], [])
    if not (tree.body and isinstance(tree.body[-1], ast.Expr)):
        return [whole]
    typed_in = ast.Interactive([tree.body.pop()])
    return [compile(part, "<string>", mode, dont_inherit=True) for part, mode in ((tree, "exec"), (typed_in, "single"))]


def _replay(blocks: list[str], names: dict, *, value: bool) -> None:
    kept = [os.dup(1), os.dup(2)]
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    for block in blocks:
        try:
            for part in _compiled(block, value=value):
                exec(part, names)
        except BaseException:  # noqa: BLE001  a program may raise anything
            continue
    for stream, copy in enumerate(kept, start=1):
        os.dup2(copy, stream)
    os.closerange(3, OPEN_FILES)


def _failed(error: BaseException) -> int:
    """Print an error as the interpreter would; the exit status. Tracebacks show the program's frames only."""
    _drop_own_frames(error)
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)
        return 1
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except BaseException as e:  # noqa: BLE001  the hook may be the program's own
        sys.__excepthook__(type(e), e, None)
    return MEMORY_STATUS if isinstance(error, MemoryError) else 1


def _drop_own_frames(error: BaseException) -> None:
    """Cut the frames of this file from an error and its causes."""
    seen: set[int] = set()
    left: BaseException | None = error
    while left is not None and id(left) not in seen:
        seen.add(id(left))
        while left.__traceback__ is not None and left.__traceback__.tb_frame.f_code.co_filename == __file__:
            left.__traceback__ = left.__traceback__.tb_next
        left = left.__cause__ or left.__context__


def _finish(status: int) -> int:
    """What the interpreter does at its end, but for tearing down modules that nobody will miss.

    Its order: threads, exit functions, the program's own objects, whose `__del__` still sees the program's names.
    """
    end_threads = vars(threading)["_shutdown"]  # what the interpreter itself calls
    for step in (end_threads, atexit._run_exitfuncs, lambda: sys.modules.pop("__main__", None), gc.collect):
        try:
            step()
        except BaseException as e:  # noqa: BLE001  a program's thread or exit function may raise anything
            status = _failed(e) or status
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()  # type: ignore[union-attr]  # None is what a program may have put there
        except (AttributeError, OSError, ValueError):
            continue  # replaced or closed by the program
    return status
