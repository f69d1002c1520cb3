"""Many programs at a time, half of which hang."""

import pytest

from dsmath import config
from dsmath.records import Exit
from dsmath.sandbox.client import Sandbox

MANY = 200
WAITS = (
    "import time\ntime.sleep(1000)",
    "import os\nos.read(os.pipe()[0], 1)",
    "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
    "import signal\nsignal.pause()",
    "import select\nselect.select([], [], [])",
)
BUSY = ("while True: pass", "sum(range(10 ** 12))", "x = 3 ** 10 ** 9", "import re\nre.match('(a+)+$', 'a' * 50 + 'b')")


def good(i):
    return f"print(sum(k * {i} for k in range(1000)))", f"{sum(k * i for k in range(1000))}\n"


def outcomes(hanging, *, many, workers, timeout_s):
    """How the hanging half ended, and what the good half printed against what is right."""
    limits = config.Sandbox(timeout_s=timeout_s, memory_mb=128, output_kb=64, workers=workers, required_level="L1")
    with Sandbox(limits) as sandbox:
        pairs = [(sandbox.submit(hanging[i % len(hanging)]), sandbox.submit(good(i)[0])) for i in range(many // 2)]
        ends = [(bad.result(), fine.result()) for bad, fine in pairs]
    return [bad for bad, _ in ends], [(fine.stdout, good(i)[1]) for i, (_, fine) in enumerate(ends)]


@pytest.mark.parametrize(
    ("hanging", "many", "workers", "timeout_s"), [(WAITS, MANY, MANY, 2.0), (BUSY, 24, 24, 0.3)], ids=["wait", "busy"]
)
def test_hanging_programs_end_and_the_others_are_right(hanging, many, workers, timeout_s):
    bad, answers = outcomes(hanging, many=many, workers=workers, timeout_s=timeout_s)
    assert {ran.exit for ran in bad} == {Exit.TIMEOUT}
    assert all(printed == right for printed, right in answers)
