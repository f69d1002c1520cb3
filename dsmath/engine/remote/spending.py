"""What may be spent, and what was: written down request by request, so that a run that goes on goes on counting."""

import dataclasses
import threading
from collections.abc import Iterable
from typing import Any

from dsmath.engine.remote.talk import Price
from dsmath.journal import Journal
from dsmath.records import Usage


class Spending:
    """Dollars that were spent, against a budget. Thread-safe."""

    def __init__(
        self, budget: float, price: Price, out: Journal, spent: Iterable[dict[str, Any]], told: Iterable[dict[str, Any]]
    ):
        """`spent` are the usages in `out`, those of requests whose responses were never finished among them; `told` are
        the usages of responses, which count where they come to more: some were asked without a budget. Those without
        dollars count at today's price.
        """
        self._budget = budget
        self._out = out
        self._lock = threading.Lock()
        self._dollars = max(sum(_dollars(usage, price) for usage in usages) for usages in (spent, told))

    def add(self, usage: Usage) -> None:
        """Write down and count what a request took. Raises UserError if the disk doesn't take it."""
        with self._lock:
            self._dollars += usage.dollars or 0.0
            self._out.append(dataclasses.asdict(usage))

    def why(self) -> str:
        """Why nothing further is to be begun; "" while something is left."""
        if self._dollars < self._budget:
            return ""
        return (
            f"--budget {self._budget:g} is spent ({self._dollars:.4f} dollars): raise it, and the same command goes "
            "on; dsmath score grades what is there"
        )


def _dollars(usage: dict[str, Any], price: Price) -> float:
    if (told := usage.get("dollars")) is not None:
        return told
    return price.of(usage["prompt_tokens"], usage["completion_tokens"])
