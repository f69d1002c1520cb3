"""Talks with servers that have programs as calls: of a function that is ours, or of a tool that the server runs itself.

A call of our function becomes the model's text, its program in a fence, and ends the generation: the rollout runs it in
our sandbox, as it does any other, and what the model is shown goes back as the answer to the call. What the server runs
itself comes back as pieces with their writers, and as programs.
"""

import dataclasses
import json
from typing import Any

from dsmath.engine.remote.exchange import Failed
from dsmath.engine.remote.talk import Endpoint, Message, completion, first, message_of, refused, settings, text_of
from dsmath.records import FENCE, OUTPUT_FENCE, Exit, Piece, Program, Ran, Source, Stop
from dsmath.text.generator import Completion, Request
from dsmath.text.template import CALL, program

FUNCTION = "python"
TOOL = {
    "type": "function",
    "function": {
        "name": FUNCTION,
        "description": "Runs a Python program and returns what it prints. Variables stay from call to call.",
        "parameters": {
            "type": "object",
            "properties": {"code": {"type": "string", "description": "The program; print() what you want to see."}},
            "required": ["code"],
            "additionalProperties": False,
        },
    },
}
NOT_RUN = f"Not run: call {FUNCTION} once at a time."
MOST_BAD_CALLS = 3  # of a generation that the model is told are wrong; it then ends

INTERPRETER = {"type": "code_interpreter", "container": {"type": "auto"}}
OUTPUTS = "code_interpreter_call.outputs"


class FunctionTalk:
    """The chat API with our sandbox as a function. The server's own messages are kept, as it wants them back."""

    path = "/chat/completions"

    def __init__(self, endpoint: Endpoint):
        self._endpoint = endpoint
        self._request: Request
        self._messages: list[Message] = []
        self._calls: list[str] = []  # ids of those that wait for an answer; the first one is run
        self._before: list[Piece] = []
        self._bad_calls = 0

    def add(self, request: Request) -> None:
        """Take a request, whose last piece by a tool is what became of the last call."""
        self._request, self._before, self._bad_calls = request, [], 0
        if not self._messages:
            if len(request.pieces) > 1:
                raise ValueError(f"request {request.id!r} goes on from one that wasn't held")
            self._messages.append({"role": "user", "content": request.pieces[0].text})
        else:
            self._answer([piece.text for piece in request.pieces if piece.source is Source.TOOL][-1])

    def body(self) -> dict[str, Any]:
        """What is posted."""
        asked = settings(self._endpoint, self._request)
        stop = [text for text in asked.pop("stop", []) if text != CALL.name]
        tools = {"tools": [TOOL], "parallel_tool_calls": False}
        return {"messages": self._messages, **asked, **tools, **({"stop": stop} if stop else {})}

    def read(self, value: dict[str, Any]) -> Completion | None:
        """What the request generated. A call that can't be run is answered here, and the model tries again."""
        choice = first(value)
        message = message_of(choice)
        content = text_of(message.get("content"))
        if refusal := text_of(message.get("refusal")):
            return refused(self._request, content, refusal)
        calls = _calls_of(message)
        reason = choice.get("finish_reason")
        if not calls or reason in ("length", "content_filter"):
            cut_off = f"\n{FENCE}json\n{calls[0][2]}" if calls else ""
            unstopped = dataclasses.replace(self._request, stop=())  # a call is no text, nor a block that ends one
            return self._done(completion(unstopped, content + cut_off, choice))
        self._messages.append(
            {name: part for name, part in message.items() if part is not None} | {"role": "assistant"}
        )
        self._calls = [id for id, _, _ in calls]
        _, name, arguments = calls[0]
        code, wrong = _code(name, arguments)
        lead = f"{content.rstrip()}\n" if content.strip() else ""
        if not wrong:
            text = f"{lead}{program(code)}"
            return self._done(Completion(self._request.id, Piece(Source.MODEL, text), (), Stop.TEXT))
        called = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
        self._before += shown(f"{lead}{FENCE}json\n{called}\n{FENCE}", wrong)
        self._answer(wrong)
        self._bad_calls += 1
        if self._bad_calls <= MOST_BAD_CALLS:
            return None
        return self._done(Completion(self._request.id, Piece(Source.MODEL, ""), (), Stop.END))

    def _answer(self, content: str) -> None:
        """Answer the calls that wait."""
        for id in self._calls:
            self._messages.append({"role": "tool", "tool_call_id": id, "content": content})
            content = NOT_RUN
        self._calls = []

    def _done(self, completion: Completion) -> Completion:
        return Completion(
            completion.id,
            completion.piece,
            completion.end,
            completion.stop,
            before=tuple(self._before),
            reason=completion.reason,
        )


def _calls_of(message: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(id, name, arguments) of the calls of a message, the last one as text, whatever the server made of it."""
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise Failed("a message whose tool_calls are no list of objects")
    found = []
    for number, call in enumerate(calls):
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        arguments = function.get("arguments", "")
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        found.append((str(call.get("id") or f"call_{number}"), str(function.get("name", "")), text))
    return found


def _code(name: str, arguments: str) -> tuple[str, str]:
    """The program of a call, and what is wrong with the call, or "".

    Models that were trained with an interpreter give a bare program instead of JSON: it is taken for what it is.
    """
    if name != FUNCTION:
        return "", f"Error: there is no function {name!r}; call {FUNCTION!r}."
    try:
        given = json.loads(arguments)
    except ValueError:
        looks_like_json = arguments.lstrip().startswith("{")
        given = None if looks_like_json else {"code": arguments}
    code = given.get("code") if isinstance(given, dict) else given
    if not isinstance(code, str) or not code.strip():
        return "", 'Error: the arguments are no JSON object with a program, such as {"code": "print(1)"}.'
    if FENCE in code:
        return "", f"Error: a program can't hold {FENCE}."
    return code.strip("\n"), ""


def shown(text: str, output: str) -> list[Piece]:
    """A text of the model, and what it was shown behind it."""
    return [
        Piece(Source.MODEL, text),
        Piece(Source.FRAME, f"\n{OUTPUT_FENCE}\n"),
        Piece(Source.TOOL, output),
        Piece(Source.FRAME, f"\n{FENCE}\n"),
    ]


class ResponsesTalk:
    """OpenAI's Responses API, where the server runs programs itself. One request is all there is to a talk."""

    path = "/responses"

    def __init__(self, endpoint: Endpoint):
        self._endpoint = endpoint
        self._request: Request

    def add(self, request: Request) -> None:
        """Take a request."""
        if len(request.pieces) > 1:
            raise ValueError(f"request {request.id!r} goes on, but the server has no program of it to wait for")
        self._request = request

    def body(self) -> dict[str, Any]:
        """What is posted."""
        asked = settings(self._endpoint, self._request)
        body = {name: asked[name] for name in ("model", "temperature", "top_p")}
        body |= {"max_output_tokens": asked["max_tokens"], "input": self._request.pieces[0].text, "store": False}
        return body | ({"tools": [INTERPRETER], "include": [OUTPUTS]} if CALL in self._request.stop else {})

    def read(self, value: dict[str, Any]) -> Completion:
        """What the server wrote and ran."""
        items, status = value.get("output"), value.get("status", "completed")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise Failed("an answer without output")
        if status not in ("completed", "incomplete"):
            error = value.get("error")
            raise Failed(f"an answer that is {status}: {error.get('message') if isinstance(error, dict) else error}")
        pieces: list[Piece] = []
        programs: list[Program] = []
        refusal = ""
        for item in items:
            if item.get("type") == "message":
                refusal = refusal or _refusal(item)
                pieces.append(Piece(Source.MODEL, text_of(item.get("content"))))
            elif item.get("type") == "code_interpreter_call":
                ran = _ran(item)
                pieces += shown(f"\n{program(ran.code)}", ran.shown)
                programs.append(ran)
        last = pieces.pop() if pieces and pieces[-1].source is Source.MODEL else Piece(Source.MODEL, "")
        details = value.get("incomplete_details")
        filtered = isinstance(details, dict) and details.get("reason") == "content_filter"
        stop = Stop.LENGTH if status == "incomplete" else Stop.END
        if refusal or filtered:
            stop = Stop.REFUSED
        reason = refusal or "content_filter" if stop is Stop.REFUSED else ""
        return Completion(
            self._request.id, last, (), stop, before=tuple(pieces), programs=tuple(programs), reason=reason
        )


def _refusal(item: dict[str, Any]) -> str:
    parts = item.get("content")
    parts = parts if isinstance(parts, list) else []
    return next((str(part["refusal"]) for part in parts if isinstance(part, dict) and part.get("refusal")), "")


def _ran(item: dict[str, Any]) -> Program:
    """A program that the server ran. It doesn't say how it ended but by what it printed."""
    outputs = item.get("outputs")
    code = item.get("code")
    logs = [
        str(output.get("logs")) if output.get("type") == "logs" else f"[{output.get('type')}]"
        for output in (outputs if isinstance(outputs, list) else [])
        if isinstance(output, dict)
    ]
    printed, ended = "".join(logs).strip(), item.get("status", "completed") == "completed"
    ran = Ran(Exit.OK if ended else Exit.ERROR, printed, "", cpu_s=0.0, wall_s=0.0, peak_bytes=0, truncated=False)
    return Program(code.strip("\n") if isinstance(code, str) else "", ran, printed or "(no output)")
