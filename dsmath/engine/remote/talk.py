"""What is said to a server about a request, and how its answer is read: plain completions, and chat as text.

A talk is about one sequence, which grows from request to request. Where the server can go on with a text (the
completions API, or chat with `prefill`), what it is given is the whole response so far, as a local engine would be.
Elsewhere a chat goes on in turns: what the model wrote is an assistant's message, a program's output the user's answer
to it; after a cut at the length the user asks to go on.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

from dsmath.engine.remote.exchange import Failed
from dsmath.records import FENCE, OUTPUT_FENCE, PYTHON_FENCE, Piece, Source, Stop, Usage
from dsmath.text.generator import Completion, Request
from dsmath.text.template import written

MOST_STOPS = 4  # of OpenAI's API; what a server isn't told is cut off here
GO_ON = "Please go on."
CHAT, COMPLETIONS, RESPONSES = "chat", "completions", "responses"
APIS = (CHAT, COMPLETIONS, RESPONSES)

Message = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """What is asked, and in which of the server's languages: all that decides on its answers."""

    url: str  # base, with the /v1 or what stands for it
    model: str
    api: str  # of APIS
    prefill: bool = False  # in chat: the server goes on with an assistant's message that isn't finished


class Talk(Protocol):
    """What is said about one sequence."""

    path: str  # behind the base URL

    def add(self, request: Request) -> None:
        """Take a request, whose pieces go on from those of the one before."""

    def body(self) -> dict[str, Any]:
        """What is posted."""

    def read(self, value: dict[str, Any]) -> Completion | None:
        """What the request generated; None if the talk goes on by itself, with another body.

        Raises Failed for an answer that is none.
        """


class TextTalk:
    """The completions API: the text so far is the prompt; special tokens stand in it by name."""

    path = "/completions"

    def __init__(self, endpoint: Endpoint):
        self._endpoint = endpoint
        self._request: Request

    def add(self, request: Request) -> None:
        """Take a request."""
        self._request = request

    def body(self) -> dict[str, Any]:
        """What is posted."""
        prompt = "".join(piece.text for piece in self._request.pieces)
        return {"prompt": prompt, **settings(self._endpoint, self._request)}

    def read(self, value: dict[str, Any]) -> Completion:
        """What the request generated."""
        choice = first(value)
        return completion(self._request, text_of(choice.get("text")), choice)


class ChatTalk:
    """The chat API without functions: programs stand in the text, and so does what they printed."""

    path = "/chat/completions"

    def __init__(self, endpoint: Endpoint):
        self._endpoint = endpoint
        self._request: Request

    def add(self, request: Request) -> None:
        """Take a request."""
        self._request = request

    def body(self) -> dict[str, Any]:
        """What is posted."""
        prompt, *response = self._request.pieces
        said = [{"role": "user", "content": prompt.text}]
        if self._endpoint.prefill and response:
            said.append({"role": "assistant", "content": "".join(piece.text for piece in response)})
            going_on = {"continue_final_message": True, "add_generation_prompt": False}  # vLLM, SGLang
            return {"messages": said, **settings(self._endpoint, self._request), **going_on}
        return {"messages": [*said, *turns(response)], **settings(self._endpoint, self._request)}

    def read(self, value: dict[str, Any]) -> Completion:
        """What the request generated."""
        choice = first(value)
        message = message_of(choice)
        if refusal := text_of(message.get("refusal")):
            return refused(self._request, text_of(message.get("content")), refusal)
        return completion(self._request, text_of(message.get("content")), choice)


def turns(response: Sequence[Piece]) -> list[Message]:
    """A response so far, in which programs ran, as a chat that an assistant is to go on with.

    The fence by which the model asked for an output goes to the user, who answers it.
    """
    messages: list[Message] = []
    for piece in response:
        role = "assistant" if piece.source is Source.MODEL else "user"
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += piece.text
        elif role == "user" and messages and (asked := messages[-1]["content"].rstrip()).endswith(OUTPUT_FENCE):
            messages[-1]["content"] = asked.removesuffix(OUTPUT_FENCE).rstrip()
            messages.append({"role": role, "content": OUTPUT_FENCE + piece.text})
        else:
            messages.append({"role": role, "content": piece.text})
    said = [{**message, "content": text} for message in messages if (text := message["content"].strip())]
    if said and said[-1]["role"] == "assistant":
        said.append({"role": "user", "content": GO_ON})
    return said


def settings(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    """How the next tokens are drawn, as both APIs have it."""
    sampling = request.sampling
    body: dict[str, Any] = {"model": endpoint.model, "max_tokens": request.max_new}
    body |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
    if sampling.top_k:
        body["top_k"] = sampling.top_k  # not OpenAI's
    if sampling.temperature:
        body["seed"] = seed_of(request)
    if stops := [written((part,)) for part in (*request.stop, *request.ends)][:MOST_STOPS]:
        body["stop"] = stops
    return body


def seed_of(request: Request) -> int:
    """A seed of 31 bits for each generation of each request."""
    text = f"{request.sampling.seed} {request.id} {len(request.pieces)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1


def first(value: dict[str, Any]) -> dict[str, Any]:
    """The first choice of an answer."""
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Failed("an answer without choices")
    if choices[0].get("finish_reason") == "error":  # as OpenRouter passes on what broke off
        raise Failed("an answer that broke off in an error")
    return choices[0]


def message_of(choice: dict[str, Any]) -> dict[str, Any]:
    """The message of a choice."""
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Failed("a choice without a message")
    return message


def text_of(content: Any) -> str:
    """A content as text: it may be missing, or come in parts."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    if content is not None and not isinstance(content, str):
        raise Failed(f"a content that is a {type(content).__name__}, no text")
    return content or ""


def completion(request: Request, text: str, choice: dict[str, Any]) -> Completion:
    """What a request generated, cut at the first of its stop texts, whether or not the server did."""
    reason = str(choice.get("finish_reason"))
    text, found = cut(request, text)
    if found is not None:
        return Completion(request.id, Piece(Source.MODEL, text), (), found)
    if reason == "content_filter":
        return refused(request, text, "finish_reason content_filter")
    if reason in ("length", "max_tokens", "MAX_TOKENS"):
        return Completion(request.id, Piece(Source.MODEL, text), (), Stop.LENGTH)
    return Completion(request.id, Piece(Source.MODEL, text), (), _ended(request, text, choice))


def refused(request: Request, text: str, reason: str) -> Completion:
    """What a filter left of an answer."""
    return Completion(request.id, Piece(Source.MODEL, text), (), Stop.REFUSED, reason=reason)


def cut(request: Request, text: str) -> tuple[str, Stop | None]:
    """A text up to the stop that is complete in it first, and which kind of stop that is; None without one."""
    kinds = [(part, Stop.TEXT) for part in request.stop] + [(part, Stop.END) for part in request.ends]
    stops = [(written((part,)), kind) for part, kind in kinds]
    found = [(start + len(stop), start, kind) for stop, kind in stops if stop and (start := text.find(stop)) >= 0]
    if not found:
        return text, None
    _, start, kind = min(found)
    return text[:start], kind


def _ended(request: Request, text: str, choice: dict[str, Any]) -> Stop:
    """How an answer ended of which the server says no more than that it did, and has cut off what ended it.

    vLLM says which stop it was. Elsewhere a model that ends behind a program wants its output, whichever way it asked.
    """
    by = choice.get("stop_reason")
    if isinstance(by, str):
        return Stop.TEXT if by in map(written, ([part] for part in request.stop)) else Stop.END
    if "stop_reason" in choice or not request.stop:
        return Stop.END
    return Stop.TEXT if ends_with_program(text) else Stop.END


def ends_with_program(text: str) -> bool:
    """Whether the last thing in a text is a Python block, closed."""
    text = text.rstrip()
    _, opened, code = text.removesuffix(FENCE).rpartition(PYTHON_FENCE)
    return bool(opened) and text.endswith(FENCE) and FENCE not in code


def usage_of(value: dict[str, Any]) -> tuple[int, int] | None:
    """The tokens of a prompt and of an answer, as a server says; None if it doesn't.

    Where the sum is more than both, the rest is reasoning that wasn't shown, and is billed with the answer.
    """
    told = value.get("usage")
    if not isinstance(told, dict):
        return None
    prompt = _count(told.get("prompt_tokens", told.get("input_tokens")))
    answer = _count(told.get("completion_tokens", told.get("output_tokens")))
    if prompt is None or answer is None:
        return None
    return prompt, max(answer, (_count(told.get("total_tokens")) or 0) - prompt)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 1 << 53 else None


@dataclasses.dataclass(frozen=True)
class Price:
    """Dollars per million tokens."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


def used(told: tuple[int, int] | None, price: Price | None) -> Usage:
    """What one request took."""
    if told is None:
        return Usage(0, 0, 1, 1, None if price is None else 0.0)
    return Usage(*told, 1, 0, None if price is None else price.of(*told))
