"""What an evaluation cost: tokens, time, and how much of that went by waiting for programs."""

import dataclasses
import functools
import operator
import statistics
from collections.abc import Sequence
from typing import Any

from dsmath.records import Trajectory


def cost(trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    """generated_tokens (None where a generator didn't tell them), wall_s, tokens_per_s, and waiting_share: the part of
    the time in which nothing was generated because all responses waited for programs; put_backs, how often a sequence
    had to make room for others; pool_use, the share of the memory for sequences that was in use on average (None where
    a generator didn't tell); of a server's answers also usage, in sums over those that have it: prompt_tokens,
    completion_tokens, requests, untold (answers whose tokens the server didn't tell), dollars (None without a price).

    Over all processes that worked on the journal, one after the other; what a killed one had begun isn't in it.
    """
    counts = [trajectory.generated_tokens for trajectory in trajectories]
    known = [count for count in counts if count is not None]
    tokens = sum(known) if len(known) == len(counts) else None
    pool_use = [trajectory.pool_use for trajectory in trajectories if trajectory.pool_use is not None]
    usages = [trajectory.usage for trajectory in trajectories if trajectory.usage is not None]
    wall_s = sum(trajectory.elapsed_s for trajectory in trajectories)
    return {
        "generated_tokens": tokens,
        "wall_s": round(wall_s, 3),
        "tokens_per_s": round(tokens / wall_s, 1) if tokens is not None and wall_s else None,
        "waiting_share": round(sum(t.waited_s for t in trajectories) / wall_s, 4) if wall_s else None,
        "put_backs": sum(trajectory.put_backs for trajectory in trajectories),
        "pool_use": round(statistics.fmean(pool_use), 4) if pool_use else None,
        **({"usage": dataclasses.asdict(functools.reduce(operator.add, usages))} if usages else {}),
    }
