"""A server that does all that servers do, and worse: each request ends in one answer or one failure."""

import contextlib
import dataclasses
import email.utils
import json
import logging
import random
import socket
import threading
import time

import pytest

from dsmath.engine.remote.asking import GONE, LOST
from dsmath.engine.remote.exchange import LARGEST_BYTES
from dsmath.engine.remote.retrying import Patience, asked_s, pause_s
from dsmath.engine.remote.spending import Spending
from dsmath.engine.remote.talk import Price
from dsmath.error import Preempted, UserError
from dsmath.journal import Journal, read
from dsmath.records import Piece, Source, Stop, Usage
from tests.engine.asked import answers, ask, poll_on, remote, request, run
from tests.engine.served import KEY, Reply, Server, chat, error, question_of, serving

SHORT = Patience(tries=2, backoff_s=0.01, total_s=10.0)
HASTY = dataclasses.replace(SHORT, total_s=1.0)  # where the time is what runs out
SLOW = ("drip", "silent")
BIG = b'{"choices": "' + b"x" * LARGEST_BYTES + b'"}'

WORSE = {
    "busy": error(429, headers={"retry-after": "0"}),
    "busy until": error(429, headers={"retry-after": "Mon, 01 Jan 2024 00:00:00 GMT"}),
    "busy, nonsense": error(429, headers={"retry-after": "soon"}),
    "broken": error(500),
    "bad gateway": Reply(b"<html>Bad gateway</html>", 502, {"content-type": "text/html"}),
    "timeout": error(408),
    "conflict": error(409),
    "an error in a good answer": Reply({"error": {"message": "upstream", "code": 502}}),
    "cut": Reply({"choices": []}, cut=True),
    "drip": Reply({"choices": [1] * 50}, drip_s=0.1),
    "silent": Reply({}, after_s=20.0),
    "no json": Reply(b"42"[:1] + b"}{"),
    "deep": Reply(b"[" * 100_000),
    "html": Reply(b"<html>Welcome</html>", 200, {"content-type": "text/html"}),
    "number": Reply(42),
    "empty": Reply(b""),
    "no choices": Reply({"choices": []}),
    "broken off": chat("So", "error", usage=None),
    "no message": Reply({"choices": [{}]}),
    "content of numbers": chat(7),  # type: ignore[arg-type]
    "huge": Reply(BIG),
    "compressed": Reply(b"\x1f\x8b", 200, {"content-encoding": "gzip"}),
    "elsewhere for now": Reply({}, 302, {"location": "http://127.0.0.1:9/v1"}),
    "garbage behind it": Reply({"choices": []}, 200, {"content-length": "7"}),
    "bad status": Reply({}, 299),
}


@pytest.mark.parametrize("kind", WORSE)
def test_what_is_no_answer_is_asked_again(kind):
    three = dataclasses.replace(HASTY if kind in SLOW else SHORT, tries=3)
    completion, bodies = ask(lambda seen, n: WORSE[kind] if n == 1 else chat("42"), patience=three)
    assert (completion.piece.text, completion.stop) == ("42", Stop.END)
    assert completion.usage.requests == len(bodies) == (3 if kind == "garbage behind it" else 2)
    assert completion.usage.prompt_tokens == (20 if kind == "content of numbers" else 10)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("broken", "HTTP 500: no"),
        ("cut", "ProtocolError"),
        ("drip", "no whole answer within 1 s"),
        ("silent", "no whole answer within 1 s"),
        ("no json", "HTTP 200, application/json, no JSON"),
        ("html", "HTTP 200, text/html, no JSON"),
        ("huge", "an answer of over 16 MiB"),
        ("compressed", "an answer in gzip, which nobody asked for"),
        ("no choices", "an answer without choices"),
        ("elsewhere for now", "HTTP 302 to http://127.0.0.1:9/v1, which is not followed"),
    ],
)
def test_what_is_never_answered_is_one_failure_with_its_reason(kind, reason):
    """Others are answered, so that the server is there."""
    answer = lambda seen, n: WORSE[kind] if question_of(seen) == "bad" else chat("42")  # noqa: E731
    with serving(answer) as server:
        generator = remote(server, patience=HASTY if kind in SLOW else SHORT)
        others = [request(Piece(Source.PROMPT, f"Q{i}"), id=f"p{i}") for i in range(3)]
        found = answers(generator, request(Piece(Source.PROMPT, "bad"), id="bad"), *others)
        generator.close()
    bad = found.pop("bad")
    assert (bad.stop, bad.piece.text, bad.usage.requests) == (Stop.FAILED, "", 2)
    assert reason in bad.reason
    assert bad.reason.endswith("(asked 2 times)")
    assert {completion.stop for completion in found.values()} == {Stop.END}


def test_headers_that_drip_are_given_up_too():
    """No single read of them takes long."""
    listening = socket.create_server(("127.0.0.1", 0))

    def drip():
        connection, _ = listening.accept()
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            while True:
                connection.sendall(b"x")
                time.sleep(0.02)

    threading.Thread(target=drip, daemon=True).start()
    once = dataclasses.replace(HASTY, tries=1)
    generator = remote(Server(f"http://127.0.0.1:{listening.getsockname()[1]}/v1"), patience=once)
    (completion,) = run(generator, 1)
    generator.close()
    listening.close()
    assert (completion.stop, completion.reason) == (Stop.FAILED, "no whole answer within 1 s")


def test_half_a_character_can_be_written_down_and_sent_on():
    completion, _ = ask(Reply(b'{"choices": [{"message": {"content": "\\ud83d 42"}}]}'))
    assert completion.piece.text.encode().endswith(b" 42")


def test_a_server_that_is_gone_ends_it_all_and_nothing_counts_as_failed():
    """The first requests are answered, then none is: their failures are held back until it is known why."""
    with serving(lambda seen, n: chat("42") if int(question_of(seen)[1:]) < 3 else error(503)) as server:
        generator = remote(server, patience=SHORT, concurrency=1)
        found = []
        for i in range(20):
            generator.submit(request(Piece(Source.PROMPT, f"Q{i}"), id=f"p{i}"))
        with pytest.raises(Preempted, match=f"is gone: none of the last {GONE} requests was answered"):
            poll_on(generator, found)
        assert not generator.idle, "who asks on is told again"
        generator.close()
    assert [completion.stop for completion in found] == [Stop.END] * 3


def test_requests_that_always_fail_have_failed_once_others_were_answered():
    """Here, or before: a run that goes on has nothing but these."""
    for answered, before in ((1, ()), (0, [(False, False)])):
        with serving(
            lambda seen, n, a=answered: chat("42") if int(question_of(seen)[1:]) < a else error(500)
        ) as server:
            generator = remote(server, patience=SHORT, concurrency=1, answered=before)
            stops = [c.stop for c in run(generator, GONE + 3)]
            generator.close()
        assert stops == [Stop.END] * answered + [Stop.FAILED] * (GONE + 3 - answered)
    with serving(lambda seen, n: error(500)) as server:
        generator = remote(server, patience=SHORT, concurrency=1, answered=[(True, False)])
        with pytest.raises(Preempted, match="is gone"):
            run(generator, GONE)
        generator.close()


def test_a_server_that_broke_for_good_is_gone_however_it_says_so():
    with serving(lambda seen, n: chat("42") if question_of(seen) == "Q0" else error(500)) as server:
        generator = remote(server, patience=SHORT, concurrency=1)
        with pytest.raises(Preempted, match=f"none of the last {LOST} requests"):
            run(generator, 3 * LOST)
        generator.close()


def test_failures_between_answers_count_as_failures_however_many():
    with serving(lambda seen, n: error(500) if int(question_of(seen)[1:]) % 3 else chat("42")) as server:
        generator = remote(server, patience=SHORT, concurrency=1)
        found = run(generator, 18)
        generator.close()
    assert sorted(c.stop for c in found) == [Stop.END] * 6 + [Stop.FAILED] * 12


def test_the_last_requests_fail_if_the_server_is_there_and_wait_if_nobody_is():
    with serving(lambda seen, n: error(500)) as server:
        generator = remote(server, patience=SHORT)
        assert [c.stop for c in run(generator, 2)] == [Stop.FAILED] * 2
        generator.close()
    with serving(lambda seen, n: error(503)) as server:
        generator = remote(server, patience=SHORT)
        with pytest.raises(Preempted, match="takes no more for now"):
            run(generator, 2)
        generator.close()
    with serving(lambda seen, n: chat("42") if question_of(seen) == "Q0" else error(503)) as server:
        generator = remote(server, patience=SHORT)
        assert sorted(c.stop for c in run(generator, 3)) == [Stop.END, Stop.FAILED, Stop.FAILED]
        generator.close()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        generator = remote(Server(f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"), patience=SHORT)
        with pytest.raises(Preempted, match="can't be reached"):
            run(generator, 2)
        generator.close()


def test_what_ended_before_is_returned_before_the_end_is_raised():
    """An answer that came is not lost to the 401 that came with it."""
    with serving(lambda seen, n: chat("42") if question_of(seen) == "Q0" else error(401)) as server:
        generator = remote(server)
        generator.submit(request(Piece(Source.PROMPT, "Q0"), id="p0"))
        generator.submit(request(Piece(Source.PROMPT, "Q1"), id="p1"))
        while len(server.seen) < 2 or server.at_once or generator._ended.qsize() < 2:
            time.sleep(0.01)
        assert [c.id for c in generator.poll()] == ["p0"]
        with pytest.raises(UserError):
            generator.poll()
        generator.close()


def test_the_key_goes_to_its_server_alone_and_comes_back_nowhere(caplog):
    caplog.set_level(logging.DEBUG)
    echo = f"Your key is {KEY}."

    def answer(seen, n):
        assert seen.headers["authorization"] == f"Bearer {KEY}"
        match question_of(seen):
            case "answer":
                escaped = "".join(f"\\u{ord(c):04x}" for c in KEY)
                return Reply(f'{{"choices": [{{"message": {{"content": "{escaped}"}}}}]}}'.encode())
            case "error":
                return error(500, echo, headers={"x-key": KEY})
            case "html":
                return Reply(f"<b>{KEY}</b>".encode(), 500, {"content-type": f"text/{KEY}"})
            case "refusal":
                return error(400, echo, code="content_filter")
            case "call":
                return chat(echo, tool_calls=[{KEY: KEY, "function": {"name": KEY, "arguments": KEY}}])
            case _:
                return Reply({KEY: KEY}, 302, {"location": f"{other.url}/{KEY}"})

    with serving(lambda seen, n: chat("42")) as other, serving(answer) as server:
        generator = remote(server, key=KEY, patience=SHORT, concurrency=1)
        names = ("error", "html", "refusal", "call", "redirect", "answer")
        found = answers(generator, *(request(Piece(Source.PROMPT, name), id=name) for name in names))
        generator.close()
        assert other.seen == []
    assert found["answer"].piece.text == "[key]"
    assert "Your key is [key]." in found["error"].reason
    assert KEY not in repr(found)
    assert KEY not in caplog.text


def test_a_key_that_ends_it_all_is_not_in_the_message():
    with serving(lambda seen, n: error(401, f"Incorrect API key: {KEY}")) as server:
        generator = remote(server, key=KEY)
        with pytest.raises(UserError, match=r"Incorrect API key: \[key\]"):
            run(generator, 1)
        generator.close()


def test_pauses_double_with_jitter_and_honour_what_the_server_asks_up_to_a_bound():
    patience, rng = Patience(backoff_s=1, longest_backoff_s=10, longest_asked_s=30), random.Random(0)
    for tries, most in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (50, 10)):
        drawn = [pause_s(patience, tries, None, rng) for _ in range(200)]
        assert most / 2 <= min(drawn) < max(drawn) <= most
        assert max(drawn) - min(drawn) > most / 4, "they don't come back together"
    assert 20 <= pause_s(patience, 1, 20.0, rng) <= 20.5
    assert 30 <= pause_s(patience, 1, 1e9, rng) <= 30.5
    assert pause_s(patience, 5, 0.0, rng) >= 5


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": email.utils.formatdate(1_000_030, usegmt=True)}, 30.0),
        ({"retry-after": email.utils.formatdate(999_000, usegmt=True)}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Mon, 99 Foo 99999 00:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_what_a_server_asks_to_be_waited_for(headers, seconds):
    assert asked_s(headers, 1_000_000.0) == seconds


def test_a_server_that_asks_to_wait_is_waited_for():
    at = []

    def answer(seen, n):
        at.append(time.monotonic())
        return error(429, headers={"retry-after": "0.3"}) if n == 1 else chat("42")

    ask(answer)
    assert at[1] - at[0] >= 0.3


def test_what_was_spent_before_counts_and_tokens_without_dollars_at_the_price_of_today(tmp_path):
    before = [{"dollars": 1.5}, {"dollars": None, "prompt_tokens": 1_000_000, "completion_tokens": 0}]
    path = tmp_path / "spent.jsonl"
    with Journal(path) as out:
        spending = Spending(4.0, Price(2.0, 10.0), out, before, before[:1])
        assert spending.why() == ""
        spending.add(Usage(0, 0, 1, 0, 0.5))
        assert "--budget 4 is spent (4.0000 dollars): raise it" in spending.why()
        assert [line["dollars"] for line in read(path)] == [0.5]
        assert Spending(4.0, Price(2.0, 10.0), out, read(path), before).why() == "", "the greater, not the sum"


def test_a_server_that_tells_no_tokens_cannot_be_kept_to_a_budget():
    with serving(lambda seen, n: chat("42", usage=None)) as server:
        generator = remote(server, told=lambda usage: None)
        with pytest.raises(UserError, match="--budget can't be kept"):
            run(generator, 1)
        generator.close()


def test_closing_gives_up_what_is_under_way():
    with serving(lambda seen, n: Reply({}, after_s=5)) as server:
        generator = remote(server)
        generator.submit(request())
        while not server.seen:
            time.sleep(0.01)
        generator.close()
        generator.close()
        assert not generator._thread.is_alive()


def test_the_bodies_are_json_that_a_server_reads():
    _, (body,) = ask(chat("42"), "chat", Piece(Source.PROMPT, "多少? \u2028 \U0001f600 \x00"))
    assert json.loads(json.dumps(body))["messages"][0]["content"] == "多少? \u2028 \U0001f600 \x00"
