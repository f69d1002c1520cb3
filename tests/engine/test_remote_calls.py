"""Programs as calls: of our sandbox as a function, and of a tool that the server runs."""

import pytest

from dsmath.records import Exit, Source, Stop
from dsmath.sandbox.client import Sandbox
from dsmath.text import template as templates
from tests.engine.asked import solve
from tests.engine.served import Reply, call, chat
from tests.rollout.conftest import LIMITS


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


def functions(answer, sandbox, **changes):
    return solve(answer, sandbox, protocol="functions", template=templates.FUNCTIONS, **changes)


def test_a_call_of_the_function_runs_in_our_sandbox_and_keeps_its_state(sandbox):
    codes = ['{"code": "x = 6\\nprint(x)"}', '{"code": "print(x * 7)"}']

    def answer(seen, n):
        if n > 2:
            return chat("So \\boxed{42}.")
        return chat("Let me see." if n == 1 else None, "tool_calls", tool_calls=[call(codes[n - 1], id=f"c{n}")])

    trajectory, bodies = functions(answer, sandbox)
    assert [program.shown for program in trajectory.programs] == ["6", "42"]
    assert trajectory.text == (
        "Let me see.\n```python\nx = 6\nprint(x)\n```\n```output\n6\n```\n"
        "```python\nprint(x * 7)\n```\n```output\n42\n```\nSo \\boxed{42}."
    )
    assert bodies[0]["tools"][0]["function"]["name"] == "python"
    assert bodies[0]["parallel_tool_calls"] is False
    assert "stop" not in bodies[0]
    assert bodies[2]["messages"][1:] == [
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call(codes[0], id="c1")]},
        {"role": "tool", "tool_call_id": "c1", "content": "6"},
        {"role": "assistant", "tool_calls": [call(codes[1], id="c2")]},
        {"role": "tool", "tool_call_id": "c2", "content": "42"},
    ]


def test_of_several_calls_at_once_the_first_runs_and_all_are_answered(sandbox):
    def answer(seen, n):
        calls = [call('{"code": "print(1)"}', id="a"), call('{"code": "print(2)"}', id="b")]
        return chat("x", tool_calls=calls) if n == 1 else chat("1")

    trajectory, bodies = functions(answer, sandbox)
    assert len(trajectory.programs) == 1
    assert [(m["tool_call_id"], m["content"][:7]) for m in bodies[1]["messages"][2:]] == [("a", "1"), ("b", "Not run")]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (call('{"code": "x"}', name="browser"), "no function 'browser'"),
        (call('{"code": "print(1'), "no JSON object"),
        (call('{"program": "print(1)"}'), "no JSON object"),
        (call("[]"), "no JSON object"),
        (call('{"code": ""}'), "no JSON object"),
        (call('{"code": "print(\'```\')"}'), "can't hold"),
        ({"id": "call_1", "type": "function"}, "no function ''"),
    ],
)
def test_a_call_that_cannot_be_run_is_answered_and_the_model_tries_again(wrong, told, sandbox):
    answer = lambda seen, n: chat("hm", tool_calls=[wrong]) if n == 1 else chat("So 42.")  # noqa: E731
    trajectory, bodies = functions(answer, sandbox)
    assert told in bodies[1]["messages"][2]["content"]
    assert (trajectory.stop, trajectory.programs, trajectory.usage.requests) == (Stop.END, (), 2)
    shown = [piece.text for piece in trajectory.response if piece.source is Source.TOOL]
    assert len(shown) == 1
    assert told in shown[0], "what wasn't said by the model isn't its own"


def test_a_model_that_never_calls_right_ends(sandbox):
    trajectory, bodies = functions(lambda seen, n: chat("hm", tool_calls=[call("{}")]), sandbox)
    assert (trajectory.stop, len(bodies)) == (Stop.END, 4)


def test_a_bare_program_in_place_of_json_is_a_program(sandbox):
    answer = lambda seen, n: chat(None, tool_calls=[call("print(6 * 7)")]) if n == 1 else chat("42")  # noqa: E731
    assert functions(answer, sandbox)[0].programs[0].code == "print(6 * 7)"


@pytest.mark.parametrize("said", ["It is a call option, so \\boxed{42}.", "So 42:\n```python\nprint(42)\n```"])
def test_what_is_said_without_a_call_is_the_answer_whatever_it_says(said, sandbox):
    trajectory, bodies = functions(lambda seen, n: chat(said), sandbox)
    assert (trajectory.text, trajectory.stop, len(bodies)) == (said, Stop.END, 1)


def test_in_a_chain_of_thought_there_is_no_function(sandbox):
    _, (body,) = functions(lambda seen, n: chat("42"), sandbox, mode="cot")
    assert "tools" not in body


def test_where_the_server_runs_programs_a_response_without_one_claims_no_sandbox_of_ours(sandbox):
    said = [{"type": "message", "content": [{"type": "output_text", "text": "So \\boxed{42}."}]}]
    hosted = {"protocol": "hosted", "template": templates.FUNCTIONS, "api": "responses"}
    trajectory, _ = solve(lambda seen, n: Reply({"output": said}), sandbox, **hosted)
    assert (trajectory.programs, trajectory.sandbox) == ((), {"level": "server"})


def test_programs_that_the_server_runs_come_as_pieces_by_their_writers(sandbox):
    output = [
        {"type": "reasoning", "summary": []},
        {"type": "message", "content": [{"type": "output_text", "text": "Let me see."}]},
        {
            "type": "code_interpreter_call",
            "code": "print(6 * 7)",
            "status": "completed",
            "outputs": [{"type": "logs", "logs": "42\n"}, {"type": "image", "url": "https://x"}],
        },
        {"type": "message", "content": [{"type": "output_text", "text": "So \\boxed{42}."}]},
    ]
    reply = Reply({"status": "completed", "output": output, "usage": {"input_tokens": 3, "output_tokens": 4}})
    trajectory, (body,) = solve(
        lambda seen, n: reply, sandbox, protocol="hosted", template=templates.FUNCTIONS, api="responses"
    )
    assert body["tools"] == [{"type": "code_interpreter", "container": {"type": "auto"}}]
    assert body["include"] == ["code_interpreter_call.outputs"]
    assert (body["input"].startswith("What is 6 * 7?"), body["max_output_tokens"]) == (True, 64)
    assert [(piece.source, piece.text) for piece in trajectory.response] == [
        (Source.MODEL, "Let me see.\n```python\nprint(6 * 7)\n```"),
        (Source.FRAME, "\n```output\n"),
        (Source.TOOL, "42\n[image]"),
        (Source.FRAME, "\n```\n"),
        (Source.MODEL, "So \\boxed{42}."),
    ]
    (ran,) = trajectory.programs
    assert (ran.code, ran.ran.exit, trajectory.sandbox) == ("print(6 * 7)", Exit.OK, {"level": "server"})
    assert (trajectory.usage.prompt_tokens, trajectory.stop) == (3, Stop.END)
