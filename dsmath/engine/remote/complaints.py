"""What becomes of a request that a server refused: asked again, otherwise, never, or nothing more at all."""

import enum
import re

from dsmath.engine.remote.exchange import Failed


class Meaning(enum.Enum):
    """What a failure means for its request, or for all of them."""

    AGAIN = "again"  # may work later
    OTHERWISE = "otherwise"  # the server doesn't know a setting
    TOO_LONG = "too long"
    REFUSED = "refused"  # by a filter
    WRONG = "wrong"  # with this request, whenever it is sent
    KEY = "key"
    PLACE = "place"  # where the server isn't offered
    ADDRESS = "address"
    MODEL = "model"
    MONEY = "money"


# Settings that a server may not know, in the order in which they are given up or written in another way.
UNKNOWN_TO_SOME = (
    *("max_tokens", "parallel_tool_calls", "continue_final_message", "add_generation_prompt", "seed", "stop"),
    *("top_k", "top_p", "temperature", "include"),
)

_AGAIN = (408, 409, 425, 429)
_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size)|(prompt|input) (is )?too long|too many (input |prompt )?tokens"
    r"|maximum (input|prompt|sequence)|exceeds? the (model'?s )?maximum",
    re.IGNORECASE,
)
_FILTER = re.compile(
    r"content[ _-]?(management[ _-])?(policy|filter)|usage policy|moderation|flagged|safety|敏感", re.IGNORECASE
)
_MONEY = re.compile(
    r"insufficient[ _](quota|balance|funds)|exceeded_current_quota|billing|credit balance|arrears|余额|欠费",
    re.IGNORECASE,
)
_KEY = re.compile(r"api[ _]key[ _](is )?(not valid|invalid|expired)|(invalid|incorrect)[ _]api[ _]key", re.IGNORECASE)
_PLACE = re.compile(
    r"(country|region|territory|location)\b[^.]{0,40}\bnot supported|unsupported_country", re.IGNORECASE
)
_UNPAID = ("1113", 1113)  # Zhipu's code of an account in arrears, which comes with 429
_MODEL = re.compile(
    r"model\b[^.]{0,80}(not[ _](exist|found|supported|available)|n't exist|deprecated|retired)"
    r"|(no such|unknown|invalid|unsupported) model|pinned to|模型不存在",
    re.IGNORECASE,
)
_UNSUPPORTED = re.compile(
    r"unsupported|not (be )?(supported|permitted|allowed)|unexpected|unrecognized|unknown|extra|forbidden|invalid"
    r"|does not support",
    re.IGNORECASE,
)


def meaning(failed: Failed, fields: frozenset[str]) -> tuple[Meaning, str]:
    """What a failure means; for OTHERWISE with which of the request's `fields` the server doesn't know."""
    status, error = failed.status, failed.error
    told = " ".join(str(error.get(name) or "") for name in ("code", "type", "message", "status"))
    if status in (400, 403) and _PLACE.search(told):
        return Meaning.PLACE, ""
    if status == 400 and _KEY.search(told):
        return Meaning.KEY, ""
    if status in (401, 403):
        return (Meaning.REFUSED, "") if status == 403 and _FILTER.search(told) else (Meaning.KEY, "")
    if status == 402 or _unpaid(failed, told):
        return Meaning.MONEY, ""
    if status == 404:
        return (Meaning.MODEL, "") if re.search("model", told, re.IGNORECASE) else (Meaning.ADDRESS, "")
    if status is not None and 300 <= status < 400:
        return (Meaning.ADDRESS if error.get("permanent") else Meaning.AGAIN), ""
    if status is None or not 400 <= status < 500 or status in _AGAIN:
        return Meaning.AGAIN, ""
    if status == 413 or _TOO_LONG.search(told):
        return Meaning.TOO_LONG, ""
    if unknown := _unknown(failed, told, fields):
        return Meaning.OTHERWISE, unknown
    if _FILTER.search(told):
        return Meaning.REFUSED, ""
    if error.get("param") == "model" or _MODEL.search(told):
        return Meaning.MODEL, ""
    return Meaning.WRONG, ""


def _unpaid(failed: Failed, told: str) -> bool:
    """Whether a server wants money. Limits of a rate advise to pay, too: of these the code or type alone tells."""
    if failed.status == 429:
        codes = " ".join(str(failed.error.get(name) or "") for name in ("code", "type"))
        return failed.asked_s is None and (_MONEY.search(codes) is not None or failed.error.get("code") in _UNPAID)
    return failed.status is not None and 400 <= failed.status < 500 and _MONEY.search(told) is not None


def _unknown(failed: Failed, told: str, fields: frozenset[str]) -> str:
    """The first field that a server says it doesn't know."""
    param = failed.error.get("param")
    for field in UNKNOWN_TO_SOME:
        named = param == field or (_UNSUPPORTED.search(told) and re.search(rf"(?<!\w){field}(?!\w)", told))
        if field in fields and named:
            return field
    return ""
