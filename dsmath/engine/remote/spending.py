"""What may be spent, and what was: counted from journals, so that a run that goes on goes on counting."""

import threading
from collections.abc import Iterable
from typing import Any

from dsmath.engine.remote.talk import Price
from dsmath.records import Usage


class Spending:
    """Dollars that were spent, against a budget. Thread-safe."""

    def __init__(self, budget: float, price: Price, before: Iterable[dict[str, Any]]):
        """`before` are the usages in journals; those without dollars count at today's price."""
        self._budget = budget
        self._lock = threading.Lock()
        self._dollars = sum(
            price.of(usage["prompt_tokens"], usage["completion_tokens"])
            if usage.get("dollars") is None
            else usage["dollars"]
            for usage in before
        )

    def add(self, usage: Usage) -> None:
        """Count what a request took."""
        with self._lock:
            self._dollars += usage.dollars or 0.0

    def why(self) -> str:
        """Why nothing further is to be begun; "" while something is left."""
        if self._dollars < self._budget:
            return ""
        return (
            f"--budget {self._budget:g} is spent ({self._dollars:.4f} dollars): raise it, and the same command goes "
            "on; dsmath score grades what is there"
        )
