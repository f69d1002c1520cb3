"""`dsmath evaluate` against a server, as a user runs it: nothing lost, nothing twice, no key anywhere."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from absl import flags

from dsmath.cli import evaluate, main
from dsmath.error import UserError
from dsmath.score.scoring import read_trajectories
from dsmath.suites import catalogue
from dsmath.systems import roster
from tests.conftest import ROOT
from tests.engine.served import KEY, Reply, Seen, Server, call, chat, error, question_of, serving
from tests.engine.test_remote_hostile import WORSE

PROBLEMS = catalogue.problems("embedded", None, limit=24)
HOSTILE = ("--tries", "4", "--backoff_s", "0.02", "--request_s", "3")


def command(verb: str, *args: str) -> list[str]:
    return [sys.executable, "-m", "dsmath.cli.main", verb, "--json", *args]


def flags_of(server: Server, workdir: Path, *args: str, limit: int = 6) -> tuple[str, ...]:
    asked = ("--server", server.url, "--model", "org/m", "--suites", "embedded", "--limit", str(limit))
    return (*asked, "--workdir", str(workdir), *args)


def dsmath(verb: str, *args: str, code: int = 0) -> tuple[dict, str]:
    """The result, and what was written to stderr."""
    env = {**os.environ, "THE_KEY": KEY}
    done = subprocess.run(command(verb, *args), capture_output=True, text=True, check=False, cwd=ROOT, env=env)
    assert done.returncode == code, done.stderr
    assert KEY not in done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}, done.stderr


def within(*args: str) -> dict:
    """The same in this process."""
    values = flags.FlagValues()
    main._define(evaluate, values)
    main._parse(values, list(args), None, None)
    return evaluate.run(values)


def gold_of(seen: Seen) -> str:
    return next(problem.gold for problem in PROBLEMS if problem.question in question_of(seen))


def honest(seen: Seen, number: int) -> Reply:
    """Right in words alone; with tools, by a program that prints the answer."""
    gold = gold_of(seen)
    if "program" not in question_of(seen) and "程序" not in question_of(seen):
        return chat(f"So it is \\boxed{{{gold}}}.")
    messages = seen.body["messages"]
    if messages[-1]["role"] == "user" and len(messages) == 1:
        code = f"print({gold!r})"
        return (
            chat(None, tool_calls=[call(json.dumps({"code": code}))])
            if "tools" in seen.body
            else chat(f"By a program:\n```python\n{code}\n```")
        )
    printed = messages[-1]["content"].removeprefix("```output").removesuffix("```").strip()
    return chat(f"So it is \\boxed{{{printed}}}.")


def journal(workdir: Path, name: str) -> dict[str, dict]:
    lines = (workdir / "evals" / "0" / name / "trajectories.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len({record["id"] for record in records}) == len(records), "none twice"
    return {record["id"]: record for record in records}


def no_key(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_an_evaluation_of_a_server_from_the_command_line_needs_no_jax(tmp_path):
    with serving(honest) as server:
        args = flags_of(server, tmp_path, "--price", "1,2", "--key_env", "THE_KEY", "--concurrency", "2")
        code = (
            "import sys; from dsmath.cli import main; main.main(); "
            "print([m for m in ('jax', 'flax', 'orbax', 'torch', 'transformers') if m in sys.modules])"
        )
        env = {**os.environ, "THE_KEY": KEY}
        argv = [sys.executable, "-c", code, "evaluate", "--json", *args]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT, env=env)
        assert done.returncode == 0, done.stderr
        result, imported = done.stdout.splitlines()[-2:]
    assert imported == "[]"
    assert [(s["mode"], s["n"], s["correct"]) for s in json.loads(result)["summaries"]] == [
        ("cot", 6, 6),
        ("tool", 6, 6),
    ]
    cot, tool = (s["cost"]["usage"] for s in json.loads(result)["summaries"])
    assert (cot["requests"], tool["requests"]) == (6, 12)
    assert cot["dollars"] == pytest.approx(6 * (10 * 1 + 5 * 2) / 1e6)
    assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {KEY}"}
    assert server.most_at_once <= 2
    no_key(tmp_path)


def test_functions_are_called_and_the_report_says_what_it_cost(tmp_path):
    with serving(honest) as server:
        (summary,) = within(*flags_of(server, tmp_path, "--modes", "tool", "--functions"))["summaries"]
        assert (summary["protocol"], summary["correct"], summary["tools"]["programs"]) == ("functions", 6, 6)
        (settings,) = tmp_path.rglob("settings.json")
        pinned = json.loads(settings.read_text())
        assert (pinned["server"], pinned["model"], pinned["api"]) == (server.url, "org/m", "chat")
    dsmath("report", "--workdir", str(tmp_path))
    assert "Answered tokens" in "".join(path.read_text() for path in (tmp_path / "report").glob("*.md"))


def hostile(seed: int, *, gone: threading.Event):
    """Answers rightly in the end, to most: every other reply is another misdeed, with the key in it where it can."""
    kinds = sorted(set(WORSE) - {"silent", "huge"})

    def answer(seen: Seen, number: int) -> Reply:
        rng = random.Random(f"{seed} {question_of(seen)} {number}")
        if gone.is_set():
            return error(503, KEY)
        if rng.random() < 0.5:
            reply = WORSE[rng.choice(kinds)]
            headers = {**reply.headers, "x-your-key": KEY}
            return Reply(reply.body, reply.status, headers, reply.drip_s, reply.cut, reply.after_s)
        if rng.random() < 0.1:
            return error(400, f"flagged, {KEY}", code="content_filter")
        if rng.random() < 0.1:
            return error(400, f"context length, {KEY}", code="context_length_exceeded")
        return chat(f"Your key is {KEY}. So it is \\boxed{{{gold_of(seen)}}}.")

    return answer


def test_a_hostile_server_a_kill_and_an_outage_lose_nothing(tmp_path):
    """Killed after some problems, then the server is gone for a while; in the end every problem has one line."""
    gone = threading.Event()
    with serving(hostile(random.randrange(1000), gone=gone)) as server:
        args = flags_of(server, tmp_path, "--modes", "cot", "--key_env", "THE_KEY", *HOSTILE, limit=24)
        path = tmp_path / "evals" / "0" / "embedded-cot" / "trajectories.jsonl"
        log = tmp_path / "log"
        with log.open("wb") as out:
            env = {**os.environ, "THE_KEY": KEY}
            one = [*command("evaluate", *args), "--concurrency", "1"]
            process = subprocess.Popen(one, stdout=out, stderr=out, cwd=ROOT, env=env)
            while process.poll() is None and not (path.exists() and path.read_bytes().count(b"\n") >= 4):
                time.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        with path.open("ab") as file:
            file.write(b'{"id": "torn')
        begun = set(journal_of_killed(path))
        gone.set()
        _, stderr = dsmath("evaluate", *args, code=75)
        assert "the same command goes on" in stderr.splitlines()[-1]
        assert set(journal(tmp_path, "embedded-cot")) == begun, "an outage is nobody's answer"
        gone.clear()
        result, _ = dsmath("evaluate", *args)
    (summary,) = result["summaries"]
    records = journal(tmp_path, "embedded-cot")
    assert records.keys() == {problem.id for problem in PROBLEMS}
    assert summary["n"] == sum(summary["stops"].values()) == sum(summary["outcomes"].values()) == 24
    assert set(summary["stops"]) <= {"end", "refused", "failed", "too_long"}
    for record in records.values():
        assert (record["stop"] == "end") == bool(record["response"])
        assert (record["stop"] == "end") != ("reason" in record)
    kinds = {"refused": "refused", "failed": "server failed", "too_long": "prompt too long", "end": "right"}
    assert summary["outcomes"] == {kinds[stop]: count for stop, count in summary["stops"].items()}
    no_key(tmp_path)


def journal_of_killed(path: Path) -> list[str]:
    whole = path.read_bytes().rpartition(b"\n")[0].decode()
    return [json.loads(line)["id"] for line in whole.splitlines()]


def test_problems_that_always_fail_end_a_run_that_has_nothing_else_left(tmp_path):
    """After an outage the journal says that this server answers others."""
    answers = [None, error(401), *[error(500)] * 9]
    with serving(lambda seen, n: answers.pop(0) or honest(seen, n)) as server:
        args = flags_of(server, tmp_path, "--modes", "cot", "--tries", "1", "--concurrency", "1", limit=10)
        with pytest.raises(UserError, match="refuses the key"):
            within(*args)
        (summary,) = within(*args)["summaries"]
    assert summary["stops"] == {"end": 1, "failed": 9}


def test_a_budget_stops_it_is_counted_from_the_journal_and_goes_on_when_raised(tmp_path):
    """Each answer costs two dollars."""
    with serving(honest) as server:
        price = ("--modes", "cot", "--price", "0,400000", "--concurrency", "1")
        args = flags_of(server, tmp_path, *price, limit=24)
        _, stderr = dsmath("evaluate", *args, "--budget", "5", code=2)
        last = stderr.splitlines()[-1]
        assert "--budget 5 is spent (" in last
        assert "raise it" in last
        begun = len(server.seen)
        assert 3 <= begun < 12, "what was begun was ended, nothing else was begun"
        assert len(journal(tmp_path, "embedded-cot")) == begun
        dsmath("evaluate", *args, "--budget", "5", code=2)
        assert len(server.seen) == begun, "the same budget is still spent"
        scored, _ = dsmath("score", "--workdir", str(tmp_path))
        assert (scored["summaries"][0]["n"], scored["summaries"][0]["cost"]["usage"]["dollars"]) == (begun, 2.0 * begun)
        result, _ = dsmath("evaluate", *args, "--budget", "1000")
    assert result["summaries"][0]["n"] == result["summaries"][0]["correct"] == 24
    assert len(server.seen) == 24, "none was asked twice"


def test_what_was_spent_on_responses_that_were_never_finished_is_spent(tmp_path):
    """Each answer costs two dollars. The first two are calls, then the key is refused."""
    with serving(lambda seen, n: error(401) if n > 1 else honest(seen, n)) as server:
        price = ("--modes", "tool", "--functions", "--price", "0,400000", "--concurrency", "1", "--budget", "1.5")
        args = flags_of(server, tmp_path, *price)
        with pytest.raises(UserError, match="refuses the key"):
            within(*args)
        assert journal(tmp_path, "embedded-tool-functions") == {}
        begun = len(server.seen)
        with pytest.raises(UserError, match=r"--budget 1.5 is spent"):
            within(*args)
        assert len(server.seen) == begun


def test_another_server_or_model_does_not_mix_into_a_journal(tmp_path):
    with serving(honest) as server:
        args = flags_of(server, tmp_path, "--modes", "cot", limit=2)
        within(*args)
        for name, other in (("--model", "n"), ("--api", "responses")):
            with pytest.raises(UserError, match="was begun with"):
                within(*args, name, other)
        with serving(honest) as second, pytest.raises(UserError, match="was begun with"):
            within(*args, "--server", second.url)
    assert second.seen == []


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--server", "http://x/v1", "--suites", "embedded"], "--model is missing"),
        (["--server", "http://x/v1", "--model", "m"], "--suites is missing"),
        (["--server", "x", "--model", "m", "--suites", "embedded"], "--server is 'x'"),
        (["--server", "http://x", "--model", "m", "--suites", "no"], "no suite|expected one of"),
        (["--server", "http://x", "--model", "m", "--suites", "embedded", "--budget", "5"], "--budget needs --price"),
        (["--server", "http://x", "--model", "m", "--suites", "embedded", "--price", "5"], "--price is '5'"),
        (["--server", "http://x", "--model", "m", "--suites", "embedded", "--key_env", "NO_SUCH"], "NO_SUCH isn't set"),
        (["--server", "http://x", "--model", "m", "--weights", "w"], "--weights is given, but a server"),
        (["--server", "http://x", "--model", "m", "--api", "completions", "--functions"], "--functions and --prefill"),
        (["--weights", "w", "--budget", "5"], "--budget is for a server"),
        (["--system", "gpt-4", "--suites", "embedded"], "gpt-4 is retired: .*2026-10-23.*--model"),
        (["--system", "gemini-pro", "--suites", "embedded"], "gemini-pro is retired: .*2025"),
        (["--system", "gpt-4", "--model", "m", "--suites", "embedded"], "OPENAI_API_KEY isn't set"),
        (["--system", "gpt-4-code-interpreter", "--model", "m", "--api", "chat"], "isn't asked by --api chat"),
        (["--system", "glm-4", "--api", "completions", "--suites", "embedded"], "isn't asked by --api completions"),
        (["--system", "glm-4", "--suites", "embedded"], "ZHIPUAI_API_KEY isn't set"),
        (["--system", "wizardmath-7b-v1.1", "--server", "http://x", "--model", "m", "--api", "chat"], "--api complet"),
        (
            ["--system", "mammoth-70b", "--server", "http://x", "--api", "completions", "--template", "chatml"],
            "--template is given, but a system is asked",
        ),
    ],
)
def test_what_is_missing_is_one_line(args, told, monkeypatch, tmp_path):
    for system in roster.SYSTEMS.values():
        if system.served:
            monkeypatch.delenv(system.served.key, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=told) as raised:
        within(*args)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.rglob("settings.json"))


def test_the_key_of_a_system_goes_to_its_own_server_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(honest) as server:
        args = flags_of(server, tmp_path, "--system", "gpt-4", "--modes", "cot", limit=2)
        assert within(*args)["summaries"][0]["correct"] == 2
    assert server.seen
    assert all("authorization" not in seen.headers for seen in server.seen)


def test_an_open_system_behind_a_server_is_asked_in_its_own_words(tmp_path):
    def answer(seen: Seen, number: int) -> Reply:
        return Reply({"choices": [{"text": f" The answer is: {gold_of(seen)}", "finish_reason": "stop"}]})

    with serving(answer) as server:
        args = flags_of(server, tmp_path, "--system", "wizardmath-7b-v1.1", "--modes", "cot", limit=4)
        within(*args)
    assert {seen.path for seen in server.seen} == {"/v1/completions"}
    assert all(seen.body["prompt"].endswith("### Response: Let's think step by step.") for seen in server.seen)
    assert server.seen[0].body["stop"] == ["Instruction:", "Instruction", "Response:", "Response"]


def test_a_server_that_runs_programs_itself(tmp_path):
    def answer(seen: Seen, number: int) -> Reply:
        gold = gold_of(seen)
        outputs = [{"type": "logs", "logs": f"{gold}\n"}]
        ran = {"type": "code_interpreter_call", "code": f"print({gold!r})", "outputs": outputs, "status": "completed"}
        said = {"type": "message", "content": [{"type": "output_text", "text": f"It is \\boxed{{{gold}}}."}]}
        return Reply({"output": [ran, said], "usage": {"input_tokens": 7, "output_tokens": 9}})

    with serving(answer) as server:
        (summary,) = within(*flags_of(server, tmp_path, "--system", "gpt-4-code-interpreter", limit=4))["summaries"]
    assert {seen.path for seen in server.seen} == {"/v1/responses"}
    assert (summary["mode"], summary["protocol"], summary["correct"]) == ("tool", "hosted", 4)
    assert (summary["tools"]["programs"], summary["tools"]["program_correct"]) == (4, 4)
    assert summary["sandbox"] == ["server"], "nothing ran here"


def test_every_closed_system_of_the_table_says_whether_it_can_be_asked():
    closed = {system.title: system for system in roster.SYSTEMS.values() if system.served}
    table = {"GPT-4", "GPT-3.5", "GPT-4 Code Interpreter", "Gemini Ultra", "Gemini Pro", "Inflection-2", "Grok-1"}
    assert closed.keys() == table | {"Baichuan-3", "GLM-4"}
    for system in closed.values():
        assert bool(system.served.model) != bool(system.served.retired), system.name
        assert system.unconfirmed
        assert system.served.key.isupper()
        assert system.ways


def test_the_journal_of_a_server_reads_back_as_it_was_written(tmp_path):
    with serving(honest) as server:
        within(*flags_of(server, tmp_path, "--modes", "tool", "--price", "1,1", limit=2))
    (path,) = tmp_path.rglob("trajectories.jsonl")
    lines = path.read_text().splitlines()
    again = [json.loads(json.dumps(one.to_json())) for one in read_trajectories(path)]
    assert again == [json.loads(line) for line in lines]
    assert all("ids" not in piece for line in again for piece in line["response"])
