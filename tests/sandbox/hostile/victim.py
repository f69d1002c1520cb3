"""A process for hostile programs to get at. It notes signals, holds a secret in memory, and reports about itself.

Reads a line from stdin and answers with a line of JSON, until stdin ends. The first answer comes unasked. File
descriptor 3 is a pipe that nobody should write to.
"""

import ctypes
import json
import os
import resource
import signal
import sys

buffer = ctypes.create_string_buffer(("SECRET-" + os.urandom(16).hex()).encode(), 64)
signals: list[int] = []
for number in range(1, 65):
    if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):  # the C library keeps 32 and 33 for itself
        signal.signal(number, lambda number, frame: signals.append(number))


def report() -> dict:
    """What a hostile program might have changed."""
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":", 1) for line in file)
    with open("/proc/self/oom_score_adj") as file:
        oom_score_adj = file.read().strip()
    return {
        "buffer": ctypes.addressof(buffer),
        "secret": buffer.value.decode("ascii", "replace"),
        "signals": signals,
        "tracer": status["TracerPid"].strip(),
        "name": status["Name"].strip(),
        "affinity": sorted(os.sched_getaffinity(0)),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "scheduler": os.sched_getscheduler(0),
        "limits": [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")],
        "oom_score_adj": oom_score_adj,
    }


print(json.dumps(report()), flush=True)
for _ in sys.stdin:
    print(json.dumps(report()), flush=True)
