"""When a request that failed is sent again: exponential backoff with jitter, and what the server asks for."""

import dataclasses
import email.utils
import random
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a server is waited for, and how often it is asked again. All but `tries` in seconds."""

    tries: int = 8  # of one request
    backoff_s: float = 1.0  # before the second try; twice as long before each further one
    longest_backoff_s: float = 60.0
    longest_asked_s: float = 300.0  # a server that asks for more (Retry-After) is asked again all the same
    connect_s: float = 10.0
    total_s: float = 600.0  # from the first byte sent to the last one read, however busily a server drips


def pause_s(patience: Patience, tries: int, asked_s: float | None, rng: random.Random) -> float:
    """Seconds to wait after so many tries, `asked_s` of which the server asked for."""
    doubled = min(patience.backoff_s * 2 ** (tries - 1), patience.longest_backoff_s)
    jittered = doubled * rng.uniform(0.5, 1.0)  # so that requests that failed together don't come back together
    if asked_s is None:
        return jittered
    return max(jittered, min(asked_s, patience.longest_asked_s) + rng.uniform(0, patience.backoff_s / 2))


def asked_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """The seconds that a server asks to wait for, None if it doesn't or nobody can read it.

    `Retry-After` is a number of seconds or an HTTP date (RFC 9110, section 10.2.3), which is compared with `now_s`,
    seconds since the epoch; OpenAI also sends `retry-after-ms`.
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    if said is None or (seconds := _number(said)) is not None:
        return None if said is None else seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
