"""`Remote`: a generator that asks a server over HTTP, many requests at a time, in a thread of its own."""

import asyncio
import dataclasses
import logging
import queue
import random
import threading
from collections.abc import Callable, Collection
from typing import Any

from dsmath.engine.remote.calling import FunctionTalk, ResponsesTalk
from dsmath.engine.remote.complaints import Meaning, meaning
from dsmath.engine.remote.exchange import Exchange, Failed
from dsmath.engine.remote.retrying import Patience, pause_s
from dsmath.engine.remote.talk import (
    CHAT,
    COMPLETIONS,
    ChatTalk,
    Endpoint,
    Price,
    Talk,
    TextTalk,
    refused,
    usage_of,
    used,
)
from dsmath.error import Preempted, UserError
from dsmath.records import Piece, Source, Stop, Usage
from dsmath.text.codec import Codec, TextCodec
from dsmath.text.generator import Completion, Request
from dsmath.text.template import CALL

log = logging.getLogger(__name__)

GONE = 5  # different requests in a row of which none was answered, however often: it is decided what that means
LOST = 20  # the same where the server is there, and fails, after others were answered: it is gone all the same
NEWS_S = 0.02  # for which a poll waits: programs may end meanwhile, and go on
_DECISIVE = ("temperature", "top_k", "top_p", "continue_final_message", "include")  # an answer without is another one
_BUSY = (429, 503)  # statuses of a server that wants to be asked later
_GONE = (*_BUSY, 502, 504, 520, 521, 522, 523, 524, 529)  # of one that isn't there, some by what stands before it


Kind = tuple[bool, bool]  # of a request: whether programs may be asked for, and whether it goes on from an answer


def kind_of(request: Request) -> Kind:
    """A server that answers one kind may refuse every request of another one."""
    return bool(request.stop), len(request.pieces) > 1


@dataclasses.dataclass(frozen=True)
class _Exhausted:
    """A request that got no answer. It is held back until it is known whether the server is there."""

    completion: Completion
    meaning: Meaning
    failed: Failed
    kind: Kind

    @property
    def nobody(self) -> bool:
        """Whether nobody was there to answer."""
        return self.failed.away or self.failed.status is None or self.failed.status in _GONE


class Remote:
    """A generator over a server. `poll` waits for news a moment at most, and raises what ends an evaluation."""

    pool_use: float | None = None

    def __init__(
        self,
        endpoint: Endpoint,
        key: str,
        *,
        key_name: str = "",
        concurrency: int,
        patience: Patience,
        price: Price | None = None,
        told: Callable[[Usage], None] | None = None,
        answered: Collection[Kind] = (),
    ):
        """`key_name` is what a user knows the key by; `told` hears what each request took as soon as that is known, in
        another thread, and an answer that doesn't tell ends it all. `answered` are the kinds of requests that this
        server has answered before.
        """
        self.codec: Codec = TextCodec()
        self.endpoint = endpoint
        self._exchange = Exchange(endpoint.url, key, patience)
        self._key_name = key_name or "--key_env"
        self._patience = patience
        self._price = price
        self._told = told
        self._rng = random.Random()
        self._ended: queue.SimpleQueue[Completion | _Exhausted | BaseException] = queue.SimpleQueue()
        self._running = 0  # requests that were submitted and not taken from the queue
        self._exhausted: list[_Exhausted] = []  # held back
        self._row = 0  # of exhausted requests, since the last answer
        self._here = False  # whether anything was answered
        self._answered = set(answered)  # kinds of requests, now or before
        self._end: BaseException | None = None  # what the next poll raises: what ended before it is returned first
        self._talks: dict[str, Talk] = {}
        self._mend: UserError | None = None  # after which nothing more is sent; of the loop's thread, as `_unknown`
        self._unknown: set[str] = set()  # settings that the server doesn't know
        self._loop = asyncio.new_event_loop()
        self._slots = asyncio.Semaphore(concurrency)
        self._thread = threading.Thread(target=self._loop.run_forever, name="remote", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give up what is under way, and end the thread. Idempotent."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._exchange.close()

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return not self._running and not self._exhausted and self._end is None

    def submit(self, request: Request) -> None:
        """Queue a request."""
        talk = self._talks.pop(request.id, None) or self._talk(request)
        talk.add(request)
        if request.hold:
            self._talks[request.id] = talk
        self._running += 1
        asyncio.run_coroutine_threadsafe(self._answer(talk, request), self._loop).add_done_callback(
            lambda done: None if done.cancelled() else self._ended.put(done.exception() or done.result())
        )

    def _talk(self, request: Request) -> Talk:
        if self.endpoint.api == COMPLETIONS:
            return TextTalk(self.endpoint)
        if self.endpoint.api == CHAT:
            return FunctionTalk(self.endpoint) if CALL in request.stop else ChatTalk(self.endpoint)
        return ResponsesTalk(self.endpoint)

    def release(self, id: str) -> None:
        """Let go of a conversation."""
        self._talks.pop(id, None)

    def poll(self) -> list[Completion]:
        """What ended. Raises UserError for what a person has to mend, Preempted for a server that is gone."""
        completions: list[Completion] = []
        timeout = NEWS_S if self._running and self._end is None else 0.0
        while self._running:
            try:
                ended = self._ended.get(timeout=timeout) if timeout else self._ended.get_nowait()
            except queue.Empty:
                break
            timeout = 0.0
            self._running -= 1
            if isinstance(ended, BaseException):
                self._end = self._end or ended
            elif isinstance(ended, _Exhausted):
                self._exhausted.append(ended)
                self._row += 1
            else:
                completions += [each.completion for each in self._exhausted]
                completions.append(ended)
                self._exhausted, self._row, self._here = [], 0, True
        if self._row >= GONE and self._exhausted:
            self._end = self._end or self._gone()
            if self._end is None:
                completions += [each.completion for each in self._exhausted]
                self._exhausted = []
        elif self._exhausted and not self._running and not completions:
            completions = self._last_words()
        if self._end is not None and not completions:
            raise self._end
        return completions

    def _gone(self) -> UserError | Preempted | None:
        """What too many unanswered requests in a row end in; None if they have failed, and others go on."""
        held, url, reason = self._exhausted, self.endpoint.url, self._exhausted[-1].completion.reason
        answered = all(each.kind in self._answered for each in held)
        if all(each.meaning in (Meaning.WRONG, Meaning.TOO_LONG) for each in held):
            if answered:
                return None
            if held[-1].meaning is Meaning.TOO_LONG:
                return UserError(
                    f"{url} has no room for the last {self._row} requests: {reason}; leave more by a smaller --max_new"
                )
            return UserError(f"{url} refused the last {self._row} requests: {reason}; see --api, --functions, --model")
        if answered and self._row < LOST and not all(each.nobody for each in held):
            return None
        return Preempted(
            f"{url} is gone: none of the last {self._row} requests was answered ({reason}); "
            "the same command goes on from here"
        )

    def _last_words(self) -> list[Completion]:
        """What is held back when nothing else is under way: failures, if the server was there to fail.

        One that has answered others and is busy for these alone, however often they are asked, has failed.
        """
        held, self._exhausted = self._exhausted, []
        if all(each.failed.away or (each.failed.status in _BUSY and not self._here) for each in held):
            self._end = Preempted(
                f"{self.endpoint.url} can't be reached, or takes no more for now ({held[-1].completion.reason}); "
                "the same command goes on from here"
            )
            return []
        return [each.completion for each in held]

    async def _answer(self, talk: Talk, request: Request) -> Completion | _Exhausted:
        """One generation: a request, or several where the talk goes on by itself."""
        spent = _Spent(self._price, self._told)
        try:
            async with self._slots:
                while (completion := await self._ask(talk, spent)) is None:
                    pass
        except _Unanswered as e:
            ended = self._unanswered(request, e, spent)
        except UserError as e:
            self._mend = self._mend or e
            raise
        else:
            ended = dataclasses.replace(completion, usage=spent.usage)
        if isinstance(ended, Completion):
            self._answered.add(kind_of(request))
        return ended

    async def _ask(self, talk: Talk, spent: "_Spent") -> Completion | None:
        """Post until there is an answer. Raises _Unanswered if there is none, UserError if there never will be."""
        tries = 0
        while True:
            if self._mend is not None:
                raise self._mend
            body = self._known(talk.body())
            value = None
            try:
                value = await self._exchange.post(talk.path, body)
                completion = talk.read(value)
            except Failed as e:
                spent.add(usage_of(value or {}), answered=False)
                if value is not None:
                    e.status = 200  # somebody is there
                failed, (found, field) = e, meaning(e, frozenset(body))
            else:
                spent.add(usage_of(value), answered=True)
                return completion
            if found is Meaning.OTHERWISE:
                self._do_without(field, body, failed)
                continue
            self._check(found, failed)
            tries += 1
            if found is not Meaning.AGAIN or tries >= self._patience.tries:
                raise _Unanswered(failed, found, tries)
            pause = pause_s(self._patience, tries, failed.asked_s, self._rng)
            log.debug("asked again in %.1f s: %s", pause, failed.reason)
            await asyncio.sleep(pause)

    def _known(self, body: dict[str, Any]) -> dict[str, Any]:
        """A body in the words that the server knows."""
        if "max_tokens" in self._unknown and "max_tokens" in body:
            body["max_completion_tokens"] = body.pop("max_tokens")
        return {name: value for name, value in body.items() if name not in self._unknown}

    def _do_without(self, field: str, body: dict[str, Any], failed: Failed) -> None:
        """Remember a setting that the server doesn't know. Raises UserError where answers would be other ones."""
        harmless = field in ("temperature", "top_p") and body[field] == 1  # what a server does by itself
        if (field in _DECISIVE and not harmless) or (field == "max_tokens" and self.endpoint.api == COMPLETIONS):
            raise UserError(
                f"{self.endpoint.url} takes no {field} = {body[field]!r} for {self.endpoint.model} ({failed.reason}); "
                "choose another value, such as --temperature 1, or leave out what asks for it"
            )
        if field not in self._unknown:
            log.info("%s doesn't know %s: going on without", self.endpoint.url, field)
            self._unknown.add(field)

    def _check(self, found: Meaning, failed: Failed) -> None:
        """Raise UserError for what no further request would mend."""
        url, reason = self.endpoint.url, failed.reason
        if found is Meaning.KEY:
            raise UserError(f"{url} refuses the key ({reason}); set {self._key_name} to one that it takes")
        if found is Meaning.MONEY:
            raise UserError(f"{url} wants to be paid ({reason}); the same command then goes on")
        if found is Meaning.ADDRESS:
            raise UserError(f"{url} isn't the base URL of an API ({reason}); expected one such as https://HOST/v1")
        if found is Meaning.PLACE:
            raise UserError(f"{url} isn't offered where you are ({reason}); name another server with --server")
        if found is Meaning.MODEL:
            raise UserError(f"{url} has no model {self.endpoint.model!r} ({reason}); name another one with --model")

    def _unanswered(self, request: Request, e: "_Unanswered", spent: "_Spent") -> Completion | _Exhausted:
        if e.meaning is Meaning.REFUSED:
            return dataclasses.replace(refused(request, "", e.failed.reason), usage=spent.usage)
        nothing = Piece(Source.MODEL, "")
        reason, stop = e.failed.reason, Stop.FAILED
        if e.meaning is Meaning.TOO_LONG:
            begun = any(piece.source is Source.MODEL for piece in request.pieces)
            stop = Stop.LENGTH if begun else Stop.TOO_LONG
        elif e.tries > 1:
            reason = f"{reason} (asked {e.tries} times)"
        ended = Completion(request.id, nothing, (), stop, usage=spent.usage, reason=reason)
        return ended if stop is Stop.LENGTH else _Exhausted(ended, e.meaning, e.failed, kind_of(request))


class _Unanswered(Exception):
    """A request that nobody will answer."""

    def __init__(self, failed: Failed, meaning: Meaning, tries: int):
        super().__init__(failed.reason)
        self.failed, self.meaning, self.tries = failed, meaning, tries


class _Spent:
    """What the requests of one generation took."""

    def __init__(self, price: Price | None, told: Callable[[Usage], None] | None):
        self.usage: Usage | None = None
        self._price, self._told = price, told

    def add(self, tokens: tuple[int, int] | None, *, answered: bool) -> None:
        """Count a request. Where somebody listens, the tokens of one that was `answered` must be told."""
        one = used(tokens, self._price)
        if not answered:
            one = dataclasses.replace(one, untold=0)
        self.usage = one if self.usage is None else self.usage + one
        if self._told is None:
            return
        if answered and tokens is None:
            raise UserError(
                "the server doesn't say how many tokens its answers took: --budget can't be kept; leave it out"
            )
        self._told(one)
