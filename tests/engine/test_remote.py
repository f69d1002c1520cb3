"""A server as a generator: what it is sent, how its answers are read, honest ones first."""

import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsmath.engine.remote.calling import FunctionTalk, ResponsesTalk
from dsmath.engine.remote.exchange import Failed
from dsmath.engine.remote.retrying import Patience
from dsmath.engine.remote.talk import ChatTalk, Endpoint, Price, TextTalk, usage_of, used
from dsmath.records import Piece, Source, Stop
from dsmath.sandbox.client import Sandbox
from dsmath.text import template as templates
from dsmath.text.generator import Sampling
from tests.engine.asked import PROMPT, answers, ask, remote, request, solve
from tests.engine.served import Reply, chat, error, question_of, serving, text
from tests.rollout.conftest import LIMITS


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


def test_an_answer_of_a_chat():
    completion, (body,) = ask(chat("It is 42."))
    assert (completion.piece, completion.stop) == (Piece(Source.MODEL, "It is 42."), Stop.END)
    assert body["messages"] == [{"role": "user", "content": "What is 6 * 7?"}]
    assert (body["model"], body["temperature"], body["top_p"], body["max_tokens"]) == ("m", 0.0, 1.0, 64)
    assert "seed" not in body, "greedy draws nothing"


@pytest.mark.parametrize(
    ("reply", "stop", "kept"),
    [
        (text("so ```output\n13"), Stop.TEXT, "so "),  # the server ignores stops
        (text("so ```output"), Stop.TEXT, "so "),  # or returns what stopped it
        (text("so <end> more"), Stop.END, "so "),
        (text("a <end> b ```output"), Stop.END, "a "),  # the first one counts
        (text("so", "length"), Stop.LENGTH, "so"),
        (text("so", "stop"), Stop.END, "so"),
        (text("so ```output", "length"), Stop.TEXT, "so "),
        (text("```python\nprint(1)\n```\n"), Stop.TEXT, "```python\nprint(1)\n```\n"),  # it has cut the stop off
        (text("```python\nprint(1)\n```\n", stop_reason=None), Stop.END, "```python\nprint(1)\n```\n"),
        (text("so", stop_reason="```output"), Stop.TEXT, "so"),
        (text("so", stop_reason="<end>"), Stop.END, "so"),
        (text("so", "content_filter"), Stop.REFUSED, "so"),
    ],
)
def test_how_an_answer_ended_is_known_whatever_the_server_does_with_stops(reply, stop, kept):
    completion, (body,) = ask(reply, "completions", stop=("```output",), ends=("<end>",))
    assert (completion.stop, completion.piece.text) == (stop, kept)
    assert body["stop"] == ["```output", "<end>"]


def test_at_most_four_stops_are_sent_and_all_are_cut():
    ends = tuple(f"<{i}>" for i in range(6))
    completion, (body,) = ask(text("so <5> more"), "completions", ends=ends)
    assert body["stop"] == ["<0>", "<1>", "<2>", "<3>"]
    assert (completion.piece.text, completion.stop) == ("so ", Stop.END)


def test_samples_of_a_problem_have_seeds_of_their_own_and_the_same_ones_again():
    drawn = Sampling(0.7, 0.9, None, 7)
    seeds = [ask(chat("x"), id=id, sampling=drawn)[1][0]["seed"] for id in ("p", "p#1", "p")]
    assert seeds[0] == seeds[2] != seeds[1]
    assert all(0 <= seed < 1 << 31 for seed in seeds)


def test_completions_get_the_whole_text_with_special_tokens_by_name():
    parts = templates.find("chatml").prompt("Q", lang="en", mode="cot")
    with serving(lambda seen, n: text("A")) as server:
        generator = remote(server, "completions")
        prompt = generator.codec.encode(Source.PROMPT, parts)
        answers(generator, request(prompt, Piece(Source.MODEL, "so "), Piece(Source.TOOL, "42")))
        generator.close()
    assert server.seen[0].path == "/v1/completions"
    assert server.seen[0].body["prompt"].startswith("<|im_start|>system\n")
    assert server.seen[0].body["prompt"].endswith("<|im_start|>assistant\nso 42")


@pytest.mark.parametrize("mode", ["cot", "tool"])
def test_completions_end_at_the_end_of_a_turn_that_the_server_knows_nothing_of(mode, sandbox):
    answer = lambda seen, n: text("So 42.<|im_end|>\n<|im_start|>user\nAnd 7?", "length")  # noqa: E731
    found, (body,) = solve(answer, sandbox, mode, "reference", templates.find("chatml"), api="completions")
    assert (found.text, found.stop) == ("So 42.", Stop.END)
    assert body["stop"][-1] == "<|im_end|>"


PROGRAM = "By a program.\n```python\nprint(6 * 7)\n```"


def test_a_chat_goes_on_in_turns(sandbox):
    trajectory, bodies = solve(lambda seen, n: chat(PROGRAM) if n == 1 else chat("So \\boxed{42}."), sandbox)
    assert bodies[1]["messages"][1:] == [
        {"role": "assistant", "content": PROGRAM},
        {"role": "user", "content": "```output\n42\n```"},
    ]
    assert trajectory.text == f"{PROGRAM}\n```output\n42\n```\nSo \\boxed{{42}}."
    assert [piece.text for piece in trajectory.response if piece.source is Source.TOOL] == ["42"]
    assert (trajectory.stop, trajectory.usage.requests, trajectory.usage.completion_tokens) == (Stop.END, 2, 10)


def test_a_server_that_can_goes_on_with_the_unfinished_message(sandbox):
    def answer(seen, n):
        return chat(f"{PROGRAM}\n```output\nmade up") if n == 1 else chat("So 42.")

    _, bodies = solve(answer, sandbox, prefill=True)
    assert bodies[1]["messages"][1:] == [{"role": "assistant", "content": f"{PROGRAM}\n```output\n42\n```\n"}]
    assert (bodies[1]["continue_final_message"], bodies[1]["add_generation_prompt"]) == (True, False)
    assert "continue_final_message" not in bodies[0]


def test_who_thought_to_the_limit_and_said_nothing_is_asked_again_as_before(sandbox):
    """Two messages by one role in a row are refused by some."""
    answer = lambda seen, n: chat("", "length") if n == 1 else chat("42")  # noqa: E731
    trajectory, bodies = solve(answer, sandbox, protocol="reference")
    assert bodies[1]["messages"] == bodies[0]["messages"]
    assert trajectory.text == "42"


def test_after_a_cut_the_user_asks_to_go_on(sandbox):
    answer = lambda seen, n: chat("First,", "length") if n == 1 else chat("then.")  # noqa: E731
    trajectory, bodies = solve(answer, sandbox, protocol="reference")
    assert [message["role"] for message in bodies[1]["messages"]] == ["user", "assistant", "user"]
    assert trajectory.text == "First,then."


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (chat(None, refusal="I can't help with that."), "I can't help"),
        (chat("", "content_filter"), "content_filter"),
        (error(400, "flagged", code="content_policy_violation"), "flagged"),
        (error(400, "x", code="content_filter"), "HTTP 400"),
    ],
)
def test_what_a_filter_keeps_back_is_refused_and_asked_once(reply, reason):
    completion, bodies = ask(reply)
    assert (completion.stop, len(bodies)) == (Stop.REFUSED, 1)
    assert reason in completion.reason


def test_a_prompt_that_does_not_fit_is_too_long_and_a_response_that_grew_is_cut():
    full = error(400, "This model's maximum context length is 8192 tokens, however", code="context_length_exceeded")
    assert ask(full)[0].stop is Stop.TOO_LONG
    assert ask(full, "completions", PROMPT, Piece(Source.MODEL, "so"))[0].stop is Stop.LENGTH


@pytest.mark.parametrize("said", [{}, {"param": "max_tokens"}])
def test_the_newer_name_of_the_budget_is_learnt_once(said):
    def answer(seen, n):
        if "max_tokens" in seen.body:
            told = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
            return error(400, told, code="unsupported_parameter", **said)
        return chat("42")

    with serving(answer) as server:
        generator = remote(server, concurrency=1)
        answers(generator, *(request(Piece(Source.PROMPT, f"Q{i}"), id=f"p{i}") for i in range(5)))
        generator.close()
    assert len(server.seen) == 6
    assert server.seen[-1].body["max_completion_tokens"] == 64


def test_a_setting_that_a_server_does_not_know_is_left_out_where_that_changes_no_answer():
    def answer(seen, n):
        unknown = {"stop", "seed", "parallel_tool_calls"} & seen.body.keys()
        return (
            Reply({"detail": f"Unexpected fields in the request: {unknown}"}, 422) if unknown else chat("a ```output")
        )

    completion, bodies = ask(answer, stop=("```output",), sampling=Sampling(1.0, 1.0, None, 7))
    assert (completion.piece.text, completion.stop) == ("a ", Stop.TEXT)
    assert "temperature" in bodies[-1]


def test_a_temperature_of_one_is_what_a_server_that_knows_none_does():
    refused = error(400, "Unsupported parameter: 'temperature' is not supported with this model.", param="temperature")
    drawn = Sampling(1.0, 1.0, None, 7)
    completion, bodies = ask(lambda seen, n: refused if "temperature" in seen.body else chat("42"), sampling=drawn)
    assert (completion.piece.text, len(bodies)) == ("42", 2)


NAMES = (
    "choices",
    "message",
    "content",
    "text",
    "tool_calls",
    "function",
    "arguments",
    "id",
    "finish_reason",
    "output",
)
NAMES += ("type", "code", "outputs", "logs", "status", "usage", "prompt_tokens", "completion_tokens", "total_tokens")
NAMES += ("error", "refusal", "incomplete_details")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(NAMES),
                inner,
                max_size=4,
            )
        ),
        max_leaves=25,
    ).filter(lambda value: isinstance(value, dict))
)
def test_any_json_is_an_answer_or_a_failure(value):
    """Nothing that a server says ends in another exception."""
    choice = {"choices": [value], "output": [value], **value}
    message = {"choices": [{"message": value}]}
    endpoint = Endpoint("http://x", "m", "chat")
    for talk in (TextTalk, ChatTalk, FunctionTalk, ResponsesTalk):
        for reply in (value, choice, message):
            one = talk(endpoint)
            one.add(request(stop=(templates.CALL,)))
            try:
                completion = one.read(reply)
            except Failed:
                continue
            assert completion is None or isinstance(json.dumps(completion.piece.text), str)
    assert used(usage_of({"usage": value}), Price(1.0, 1.0)).requests == 1


def test_tokens_and_dollars_are_counted_with_hidden_reasoning_and_failed_requests():
    told = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1600}  # 500 weren't shown
    answer = lambda seen, n: error(500) if n == 1 else chat("42", usage=told)  # noqa: E731
    completion, _ = ask(answer, price=Price(2.0, 10.0))
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.requests, usage.untold) == (1000, 600, 2, 0)
    assert usage.dollars == pytest.approx(0.002 + 0.006)


@pytest.mark.parametrize(("told", "tokens"), [({"prompt_tokens": 3, "completion_tokens": 5}, 5), (None, None)])
def test_tokens_are_known_where_every_answer_tells_them_whatever_failed_before(told, tokens, sandbox):
    answer = lambda seen, n: error(500) if n == 1 else chat("42", usage=told)  # noqa: E731
    trajectory, _ = solve(answer, sandbox, "cot")
    assert (trajectory.generated_tokens, trajectory.usage.requests) == (tokens, 2)


def test_no_more_requests_than_allowed_are_under_way_and_a_slow_one_holds_up_nobody():
    slow = threading.Event()

    def answer(seen, n):
        if question_of(seen) == "slow":
            slow.wait(10)
        else:
            time.sleep(0.01)
        return chat("42")

    with serving(answer) as server:
        generator = remote(server, concurrency=3, patience=Patience(total_s=20))
        generator.submit(request(Piece(Source.PROMPT, "slow"), id="slow"))
        for i in range(20):
            generator.submit(request(Piece(Source.PROMPT, f"Q{i}"), id=f"p{i}"))
        done = []
        while len(done) < 20:
            done += generator.poll()
        assert "slow" not in {completion.id for completion in done}
        assert not generator.idle
        assert generator.poll() == [], "a poll without news returns"
        slow.set()
        while not generator.idle:
            done += generator.poll()
        generator.close()
    assert len(done) == 21
    assert server.most_at_once == 3
