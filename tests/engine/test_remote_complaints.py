"""What a server complains about: what is for a person to mend ends it all in one line, what passes is waited for."""

import pytest

from dsmath.engine.remote.asking import GONE, Remote
from dsmath.engine.remote.exchange import checked
from dsmath.engine.remote.talk import Endpoint
from dsmath.error import UserError
from dsmath.records import Piece, Source, Stop
from tests.engine.asked import QUICK, answers, ask, poll_on, remote, request, run
from tests.engine.served import KEY, Reply, chat, error, question_of, serving

FULL = (
    "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 4096 tokens "
    "and your request has 104 input tokens"
)


def test_a_budget_of_tokens_that_leaves_no_room_for_any_prompt_is_for_a_person():
    with serving(lambda seen, n: error(400, FULL, param="max_tokens")) as server:
        generator = remote(server)
        with pytest.raises(UserError, match=r"has no room for the last .*4096.*--max_new"):
            run(generator, GONE + 3)
        generator.close()
    with serving(lambda seen, n: chat("42") if question_of(seen) == "Q0" else error(400, FULL)) as server:
        generator = remote(server, concurrency=1)
        assert [c.stop for c in run(generator, GONE + 3)] == [Stop.END] + [Stop.TOO_LONG] * (GONE + 2)
        generator.close()


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (error(401, "bad key"), r"refuses the key \(HTTP 401: bad key\); set MY_KEY"),
        (error(403), "refuses the key"),
        (error(400, "API key not valid. Please pass a valid API key."), "refuses the key"),
        (Reply([{"error": {"code": 400, "message": "API key not valid. Please pass one."}}], 400), "refuses the key"),
        (error(403, "Country, region, or territory not supported", code="unsupported_country"), "isn't offered where"),
        (error(400, "User location is not supported for the API use."), "isn't offered where you are"),
        (error(404, "no such route"), "isn't the base URL of an API"),
        (error(404, "The model `m` does not exist", code="model_not_found"), "has no model 'm'"),
        (error(400, "The model `m` does not exist"), "has no model 'm'.*--model"),
        (error(400, "x", param="model"), "has no model"),
        (Reply({"detail": "Server is pinned to 'n'; requested 'm'."}, 400), "has no model"),
        (error(402, "pay"), "wants to be paid"),
        (error(429, "You exceeded your quota", code="insufficient_quota"), "wants to be paid"),
        (error(429, "recharge", code="1113"), "wants to be paid"),
        (error(429, "suspended", type="exceeded_current_quota_error"), "wants to be paid"),
        (error(400, "'temperature' does not support 0 with this model", param="temperature"), "--temperature 1"),
        (Reply({}, 301, {"location": "http://127.0.0.1:9/v1"}), "isn't the base URL.*127.0.0.1:9"),
    ],
)
def test_what_a_person_has_to_mend_ends_it_at_once_in_one_line(reply, told):
    with serving(lambda seen, n: reply) as server:
        generator = remote(server, key_name="MY_KEY", concurrency=1)
        with pytest.raises(UserError, match=told) as raised:
            run(generator, 3)
        generator.close()
    assert "\n" not in str(raised.value)
    assert len(server.seen) == 1


def test_a_server_that_answers_and_takes_no_text_to_go_on_from_is_for_a_person():
    """As one that knows no messages by tools."""
    answer = lambda seen, n: chat("42") if len(seen.body["messages"]) == 1 else error(400, "role: bad")  # noqa: E731
    begun = [Piece(Source.PROMPT, "Q"), Piece(Source.MODEL, "A"), Piece(Source.TOOL, "1")]
    with serving(answer) as server:
        generator = remote(server, concurrency=1)
        answers(generator, request(stop=("x",)))
        for i in range(GONE):
            generator.submit(request(*begun, id=f"p{i}", stop=("x",)))
        with pytest.raises(UserError, match="refused the last 5 requests: HTTP 400: role"):
            poll_on(generator, [])
        generator.close()


PAY = "Rate limit reached for m: Limit 3 / min. Visit https://x/account/billing to add a payment method."


@pytest.mark.parametrize(
    "busy",
    [
        error(429, PAY, code="rate_limit_exceeded", type="requests"),
        error(429, "Check your plan and billing details; see rate-limits.", code=429),
        error(429, "wait", code="insufficient_quota", headers={"retry-after": "0"}),
    ],
)
def test_a_limit_of_the_rate_is_waited_for_whatever_it_advertises(busy):
    completion, bodies = ask(lambda seen, n: busy if n == 1 else chat("42"))
    assert (completion.piece.text, len(bodies)) == ("42", 2)


def test_what_is_wrong_with_every_request_is_for_a_person_not_for_later():
    with serving(lambda seen, n: error(400, "messages: bad")) as server:
        generator = remote(server)
        with pytest.raises(UserError, match=r"refused the last .* messages: bad"):
            run(generator, 8)
        generator.close()


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:8000/v1", "ftp://x/v1", "http://", "http://u:p@x/v1", f"http://x/{KEY}", "http://x/v1?a=b"),
        *("http://x:99999/v1", "http://x:abc/v1", "http://[::1/v1", "http://x\n/v1"),
        *("http://x/v1?key=SECRET", "x?key=SECRET", "ftp://SECRET@x", "http://SECRET@x:abc/v1", "http://x/#SECRET"),
    ],
)
def test_a_url_that_cannot_be_asked_or_written_down_is_refused(url):
    with pytest.raises(UserError, match="--server") as raised:
        checked(url, KEY)
    assert not [part for part in (KEY, "SECRET", "\n") if part in str(raised.value)]


@pytest.mark.parametrize("key", ["two\nlines-of-it", "ключ", "a key"])
def test_a_key_that_no_header_takes_is_not_shown(key):
    with pytest.raises(UserError, match="the key has characters") as raised:
        Remote(Endpoint("http://x/v1", "m", "chat"), key, concurrency=1, patience=QUICK)
    assert key not in str(raised.value)
