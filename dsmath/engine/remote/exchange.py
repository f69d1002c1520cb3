"""One exchange with a server: a JSON body is posted, a JSON object comes back, or a reason why not.

The key is in one header of requests to one address: no redirect is followed. What comes back is read up to a size and
for a time, and loses the key wherever it stands in it, so that nothing behind this module can write it down.
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from dsmath.engine.remote import retrying
from dsmath.engine.remote.retrying import Patience
from dsmath.error import UserError

LARGEST_BYTES = 16 << 20  # of an answer; one of 8,192 tokens has some 40 KB
SECRET_CHARS = 8  # a shorter key, such as the "EMPTY" of servers that want none, is no secret
HIDDEN = "[key]"
_REASON_CHARS = 300
_PERMANENT = (301, 308)


class Failed(Exception):
    """An exchange that brought no answer: the reason in one line; the status of HTTP, None where it came to none; the
    server's error, with code, param and message as far as it told; the seconds that it asks to be waited for; whether
    there was nobody at all.
    """

    def __init__(
        self,
        reason: str,
        status: int | None = None,
        error: Mapping[str, Any] = MappingProxyType({}),
        asked_s: float | None = None,
        *,
        away: bool = False,
    ):
        super().__init__(reason)
        self.reason, self.status, self.error, self.asked_s, self.away = reason, status, error, asked_s, away


class Exchange:
    """A connection to one server, for use in one event loop."""

    def __init__(self, url: str, key: str, patience: Patience):
        self.url = checked(url, key).rstrip("/")
        self._key = key
        self._patience = patience
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "dsmath"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        timeout = httpx2.Timeout(patience.total_s, connect=patience.connect_s)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx2.AsyncClient(headers=headers, timeout=timeout, limits=limits, follow_redirects=False)
        for name in ("httpx2", "httpcore2"):  # a line per request, and headers where someone debugs
            logging.getLogger(name).setLevel(logging.WARNING)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The JSON object that the server answers. Raises Failed where it doesn't."""
        try:
            async with asyncio.timeout(self._patience.total_s):
                status, headers, content = await self._post(path, body)
        except TimeoutError:
            raise Failed(f"no whole answer within {self._patience.total_s:g} s") from None
        except httpx2.HTTPError as e:
            away = isinstance(e, httpx2.ConnectError | httpx2.ConnectTimeout)
            raise Failed(self._line(f"{type(e).__name__}: {e}".rstrip(": ")), away=away) from None
        kind = headers.get("content-type", "no content type")
        asked_s = retrying.asked_s(headers, time.time())
        try:
            value = self._hidden(json.loads(content))
        except (ValueError, RecursionError):
            told = "" if status == 200 else f": {self._line(content.decode(errors='replace'))}"
            raise Failed(f"HTTP {status}, {self._line(kind)}, no JSON{told}", status, {}, asked_s) from None
        if 300 <= status < 400:
            to = self._line(headers.get("location", "nowhere"))
            raise Failed(f"HTTP {status} to {to}, which is not followed", status, {"permanent": status in _PERMANENT})
        found = value.get("error") if isinstance(value, dict) else None
        if status == 200 and isinstance(value, dict) and not found:
            return value
        raise self._refusal(status, value, found, asked_s)

    async def _post(self, path: str, body: dict[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        content = bytearray()
        async with self._client.stream("POST", self.url + path, json=body) as response:
            if (encoding := response.headers.get("content-encoding", "identity")) != "identity":
                raise Failed(f"an answer in {self._line(encoding)}, which nobody asked for", response.status_code)
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > LARGEST_BYTES:
                    raise Failed(f"an answer of over {LARGEST_BYTES >> 20} MiB", response.status_code)
        return response.status_code, response.headers, bytes(content)

    def _refusal(self, status: int, value: Any, found: Any, asked_s: float | None) -> Failed:
        """What a server says is wrong, in the forms that servers have for it."""
        error = found if isinstance(found, dict) else {}
        if status == 200 and isinstance(error.get("code"), int):  # as OpenRouter passes on what a provider said
            status = error["code"]
        if not error:
            told = found or (value.get("detail") or value.get("message") if isinstance(value, dict) else value)
            error = {"message": told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)}
        message = self._line(str(error.get("message") or error))
        return Failed(f"HTTP {status}: {message}", status, {**error, "message": message}, asked_s)

    def hide(self, text: str) -> str:
        """A text without the key."""
        if len(self._key) < SECRET_CHARS:
            return text
        return text.replace(self._key, HIDDEN).replace(quote(self._key, safe=""), HIDDEN)

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.hide(value if value.isascii() else value.encode(errors="replace").decode())  # half a character
        if isinstance(value, list):
            return [self._hidden(each) for each in value]
        if isinstance(value, dict):
            return {self.hide(name): self._hidden(each) for name, each in value.items()}
        return value

    def _line(self, text: str) -> str:
        return self.hide(" ".join(text.split()))[:_REASON_CHARS]


def checked(url: str, key: str) -> str:
    """A base URL that can be asked and written down. Raises UserError for another one, or a key that can't be sent."""
    shown = re.sub("//[^/]*@", "//", re.split("[?#]", url)[0])  # what is left out may be secret
    if re.search("[?#]", url):
        raise UserError(f"--server is {shown!r} with a ? or #; expected a base URL, without what follows these")
    if re.search("//[^/]*@", url) or (key and key in url):
        raise UserError("--server has a name or a key in its URL, which is written down; give the key by --key_env")
    try:
        parts = urlsplit(url)
        _ = parts.port, httpx2.URL(url)
    except (ValueError, httpx2.InvalidURL) as e:
        reason = " ".join(str(e).split())
        raise UserError(f"--server is {shown!r} ({reason}); expected one such as http://localhost:8000/v1") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"--server is {shown!r}; expected the base URL of a server, such as http://localhost:8000/v1")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError("the key has characters that no HTTP header takes; expected one line of ASCII without spaces")
    return url
