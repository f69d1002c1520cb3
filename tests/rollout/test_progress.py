"""How rollouts go on: nothing waits for a program, nothing is lost, whatever fails."""

import dataclasses
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from dsmath.records import Source, Stop
from dsmath.sandbox.client import Sandbox
from tests.rollout.conftest import LIMITS
from tests.rollout.scripted import CODEC, TEMPLATE, Says, ScriptedGenerator, problem, run


def test_a_waiting_program_holds_up_nobody(sandbox):
    script = {
        "slow": [Says("```python\nimport time\ntime.sleep(1.5)\nprint(1)\n```\n", Stop.TEXT), Says("1", Stop.END)],
        **{f"fast{i}": [Says("Hm", Stop.LENGTH), Says("2", Stop.END)] for i in range(4)},
    }
    generator = ScriptedGenerator(script)
    start, cpu = time.monotonic(), time.process_time()
    records = []
    for record in run([problem(id) for id in script], generator, sandbox):
        records.append((record.problem.id, time.monotonic() - start))
    assert [id for id, _ in records[:-1]] == ["fast0", "fast1", "fast2", "fast3"]
    assert records[-1][0] == "slow"
    assert records[-1][1] >= 1.5
    assert records[-1][1] - records[-2][1] > 0.5, "the others did not wait for the program"
    assert time.process_time() - cpu < 0.5, "the rollout did not spin while it waited"


def test_a_generator_full_of_held_sequences_is_not_polled_hot(sandbox):
    class OneSlot(ScriptedGenerator):
        polls = 0

        def poll(self):
            self.polls += 1
            return [] if self.held else super().poll()

    generator = OneSlot(
        {
            "slow": [Says("```python\nimport time\ntime.sleep(1)\n```\n", Stop.TEXT), Says("1", Stop.END)],
            "other": [Says("2", Stop.END)],
        }
    )
    cpu = time.process_time()
    records = list(run([problem("slow"), problem("other")], generator, sandbox))
    assert {record.problem.id for record in records} == {"slow", "other"}
    assert 10 < generator.polls < 2000
    assert time.process_time() - cpu < 0.5


def test_problems_are_taken_as_needed_and_all_are_answered(sandbox):
    taken = []

    def problems():
        for i in range(7):
            taken.append(i)
            yield problem(f"p{i}")

    generator = ScriptedGenerator({f"p{i}": [Says("1", Stop.END)] for i in range(7)})
    done = []
    for record in run(problems(), generator, sandbox, in_flight=3):
        done.append(record.problem.id)
        assert len(taken) <= len(done) + 3
    assert done == [f"p{i}" for i in range(7)]


def test_no_problems_give_no_records(sandbox):
    assert list(run([], ScriptedGenerator({}), sandbox)) == []


def test_prompts_that_do_not_fit_become_records(sandbox, caplog):
    problems = [problem("long", question="x" * 500), problem("p"), problem("longer", question="x" * 600)]
    generator = ScriptedGenerator({"p": [Says("1", Stop.END)]}, longest=300)
    records = {record.problem.id: record for record in run(problems, generator, sandbox, in_flight=1)}
    assert {id: record.stop for id, record in records.items()} == {
        "long": "too_long",
        "p": "end",
        "longer": "too_long",
    }
    assert records["long"].response == ()
    assert "x" * 500 in records["long"].prompt.text
    assert "long: skipped, its prompt is too long" in caplog.text


def test_a_response_that_outgrows_the_cache_ends_where_it_is(sandbox):
    prompt = CODEC.encode(Source.PROMPT, TEMPLATE.prompt("What is 6 * 7?", lang="en", mode="tool")).ids
    generator = ScriptedGenerator({"p": [Says("x" * 40, Stop.LENGTH)]}, longest=len(prompt) + 10)
    (record,) = run([problem("p")], generator, sandbox)
    assert (record.text, record.stop) == ("x" * 40, "length")
    assert generator.released == ["p"]


def test_samples_are_apart_and_those_that_are_done_are_left_out(sandbox):
    said = {"p": [Says("It is 1.", Stop.END)], "p#1": [Says("It is 2.", Stop.END)], "p#3": [Says("It is 4.", Stop.END)]}
    generator = ScriptedGenerator(said)
    records = list(run([problem("p")], generator, sandbox, samples=4, done={("p", 2)}))
    assert [(r.problem.id, r.sample, r.text) for r in records] == [
        ("p", 0, "It is 1."),
        ("p", 1, "It is 2."),
        ("p", 3, "It is 4."),
    ]
    assert sorted(generator.released) == ["p", "p#1", "p#3"]


def kill_zygotes(sandbox):
    for pid in Path("/proc/thread-self/children").read_text().split():
        if b"dsmath.sandbox.zygote" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGKILL)


def test_a_program_whose_sandbox_died_runs_again():
    generator = ScriptedGenerator(
        {"p": [Says("```python\nimport time\ntime.sleep(0.3)\nprint(42)\n```\n", Stop.TEXT), Says("42", Stop.END)]}
    )
    with Sandbox(dataclasses.replace(LIMITS, workers=1)) as sandbox:
        threading.Timer(0.1, kill_zygotes, [sandbox]).start()
        (record,) = run([problem("p")], generator, sandbox)
    assert [program.ran.stdout for program in record.programs] == ["42\n"]


def test_a_sandbox_that_does_not_start_again_raises(monkeypatch):
    generator = ScriptedGenerator({"p": [Says("```python\nprint(1)\n```\n", Stop.TEXT)]})
    with Sandbox(dataclasses.replace(LIMITS, timeout_s=1.0, workers=1)) as broken:
        monkeypatch.setattr(sys, "executable", "/bin/false")
        kill_zygotes(broken)
        with pytest.raises(RuntimeError, match="the sandbox failed 3 times on a program of p"):
            list(run([problem("p")], generator, broken))
