"""A grading process: `python -m dsmath.score.worker GRADER MEMORY_MB TIMEOUT_S`, started by dsmath/score/pool.py.

Reads one item a line on stdin and answers with one line on stdout. The first line it writes is `{}` if the grader's
check passes, else `{"error": ...}`.
"""

import dataclasses
import json
import math
import os
import resource
import sys

from dsmath.error import UserError
from dsmath.score import graders

_GRACE_S = 5.0


def main(grader: str, memory_mb: str, timeout_s: str) -> None:
    """Grade until stdin ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # nothing that a library prints may come between the replies
    _limit(resource.RLIMIT_AS, int(memory_mb) << 20)
    try:
        graders.find(grader).check()
    except UserError as e:
        print(json.dumps({"error": str(e)}), file=replies, flush=True)
        return
    print("{}", file=replies, flush=True)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    for line in sys.stdin.buffer:
        _limit_cpu(float(timeout_s) + _GRACE_S)
        verdict = graders.grade(**json.loads(line), grader=grader)
        print(json.dumps(dataclasses.asdict(verdict)), file=replies, flush=True)


def _limit_cpu(seconds: float) -> None:
    """End this process after so much more work, should nobody be left to kill it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds))


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == "__main__":
    main(*sys.argv[1:])
