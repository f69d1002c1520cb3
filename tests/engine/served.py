"""A real HTTP server on 127.0.0.1 that answers from a script, honest or hostile, and remembers what it was asked."""

import contextlib
import dataclasses
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

KEY = "sk-this-is-the-secret-of-the-tests-0123456789"


@dataclasses.dataclass(frozen=True)
class Reply:
    """What is sent back."""

    body: Any = None  # JSON values, or bytes as they are
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    drip_s: float = 0.0  # between the bytes of the body
    cut: bool = False  # the connection is closed before the body is whole
    after_s: float = 0.0  # before anything is sent


@dataclasses.dataclass
class Seen:
    """A request as the server got it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Answer = Callable[[Seen, int], Reply]  # to a request, which is the n-th of those with its last user's message


@dataclasses.dataclass
class Server:
    """A running server."""

    url: str  # base, with /v1
    seen: list[Seen] = dataclasses.field(default_factory=list)
    at_once: int = 0  # requests that are being answered
    most_at_once: int = 0
    asked: dict[str, int] = dataclasses.field(default_factory=dict)

    def of(self, text: str) -> list[Seen]:
        """The requests in which a text stands."""
        return [seen for seen in self.seen if text in json.dumps(seen.body, ensure_ascii=False)]


def chat(content: str | None, finish: str = "stop", **changes: Any) -> Reply:
    """An answer of the chat API; `usage` and fields of its message may be given."""
    usage = changes.pop("usage", {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
    message = {"role": "assistant", "content": content, **changes}
    return Reply({"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage})


def text(content: str, finish: str = "stop", **choice: Any) -> Reply:
    """An answer of the completions API."""
    choice = {"index": 0, "text": content, "finish_reason": finish, **choice}
    return Reply({"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})


def call(arguments: str, *, name: str = "python", id: str = "call_1") -> dict[str, Any]:
    """A call of a function, as a message has it."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def error(status: int, message: str = "no", headers: dict[str, str] | None = None, **more: Any) -> Reply:
    """An error in OpenAI's form."""
    return Reply({"error": {"message": message, **more}}, status, headers or {})


def question_of(seen: Seen) -> str:
    """What a request is about: its prompt, or the first message of its chat."""
    body = seen.body
    return body.get("prompt") or body.get("input") or body["messages"][0]["content"]


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    """A server that answers as `answer` says."""
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            seen = Seen(self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(content))
            with lock:
                server.seen.append(seen)
                about = question_of(seen)
                number = server.asked[about] = server.asked.get(about, 0) + 1
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
            try:
                self.send(answer(seen, number))
            except OSError:
                self.close_connection = True  # who asked has gone
            finally:
                with lock:
                    server.at_once -= 1

        def send(self, reply: Reply) -> None:
            time.sleep(reply.after_s)
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            headers = {"content-type": "application/json", "content-length": str(len(body))} | reply.headers
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if reply.cut:
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            elif reply.drip_s:
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(reply.drip_s)
            else:
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is logged."""

    class Threads(http.server.ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

    with Threads(("127.0.0.1", 0), Handler) as http_server:
        server = Server(f"http://127.0.0.1:{http_server.server_address[1]}/v1")
        thread = threading.Thread(target=http_server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        http_server.shutdown()
