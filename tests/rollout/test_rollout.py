"""Rollouts against a scripted generator and the real sandbox."""

import dataclasses
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import tokenizers as backends

from dsmath import config
from dsmath.error import UserError
from dsmath.records import Piece, Source
from dsmath.rollout import protocols
from dsmath.rollout import rollout as rollouts
from dsmath.sandbox.client import Sandbox
from dsmath.text import template as templates
from dsmath.text import tokenizer as tokenizers
from dsmath.text.generator import Completion, Request, Sampling, Stop

TEMPLATE = templates.TEMPLATES["reference"]
GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, seed=7)
TOKENIZER = tokenizers.train(["```python\nprint(1)\n```output\n The answer is \\boxed{12}.\n\n"] * 4, vocab_size=400)


@dataclasses.dataclass(frozen=True)
class Problem:
    id: str
    suite: str = "made_up"
    lang: str = "en"
    question: str = "What is 6 * 7?"
    gold: str = "42"
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Says:
    """A generation of the script: its text, how it ends, and how much of the text lies after its last whole token."""

    text: str
    stop: Stop
    tail: str = ""


class ScriptedGenerator:
    """Answers from a script, one request per poll, and checks that requests, holds and releases fit together."""

    def __init__(self, script: dict[str, list[Says]], *, longest: int = 10_000):
        self.script = {id: list(said) for id, said in script.items()}
        self.longest = longest
        self.queue: list[Request] = []
        self.requests: list[Request] = []
        self.held: dict[str, tuple[int, ...]] = {}
        self.released: list[str] = []

    @property
    def idle(self) -> bool:
        return not self.queue

    def submit(self, request: Request) -> None:
        if len(request.ids) > self.longest:
            raise UserError(f"{len(request.ids)} tokens; the cache holds {self.longest}")
        if (held := self.held.pop(request.id, None)) is not None:
            prompt = self.first(request.id).ids
            assert request.ids[: len(prompt)] == prompt == held[: len(prompt)]
        else:
            assert all(request.id != r.id for r in self.requests), "a later generation without a held sequence"
        assert all(request.id != r.id for r in self.queue)
        self.queue.append(request)
        self.requests.append(request)

    def poll(self) -> list[Completion]:
        assert self.queue, "polled without work"
        request = self.queue.pop(0)
        said = self.script[request.id].pop(0)
        ids = TOKENIZER.encode(said.text.removesuffix(said.tail))
        if said.stop is Stop.END:
            ids += (TOKENIZER.eos,)
        if request.hold:
            self.held[request.id] = request.ids + ids
        return [Completion(id=request.id, ids=ids, text=said.text, tail=said.tail, stop=said.stop)]

    def release(self, id: str) -> None:
        del self.held[id]
        self.released.append(id)

    def first(self, id: str) -> Request:
        return next(r for r in self.requests if r.id == id)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(config.Sandbox(timeout_s=5.0, memory_mb=512, output_kb=64, workers=2, required_level="L1")) as sandbox:
        yield sandbox


def tokenizer_with_token(text: str) -> tokenizers.HFTokenizer:
    """A byte-level tokenizer in which one text, of two characters, is one token."""
    alphabet = sorted(backends.pre_tokenizers.ByteLevel.alphabet())
    pair = [backends.pre_tokenizers.ByteLevel(False, use_regex=False).pre_tokenize_str(c)[0][0] for c in text]
    vocab = {token: i for i, token in enumerate([*alphabet, "".join(pair), "<end>"])}
    backend = backends.Tokenizer(backends.models.BPE(vocab=vocab, merges=[tuple(pair)]))
    backend.pre_tokenizer = backends.pre_tokenizers.ByteLevel(False, use_regex=False)
    backend.decoder = backends.decoders.ByteLevel()
    backend.add_special_tokens(["<end>"])
    return tokenizers.HFTokenizer(backend, bos=None, eos="<end>")


def run(problems, generator, sandbox, *, mode="tool", rounds=2, protocol="reference", **kwargs):
    return rollouts.rollout(
        problems,
        generator,
        sandbox,
        tokenizer=TOKENIZER,
        template=TEMPLATE,
        sampling=GREEDY,
        mode=mode,
        protocol=protocols.find(protocol),
        max_new=64,
        rounds=rounds,
        **kwargs,
    )


def run_one(said, sandbox, **kwargs):
    generator = ScriptedGenerator({"p": said})
    (record,) = run([Problem("p")], generator, sandbox, **kwargs)
    assert not generator.held
    assert not generator.script["p"], "the whole script was said"
    assert len(record["ids"]) == len(record["sources"])
    prompt = len(generator.requests[0].ids)
    assert record["sources"][:prompt] == [Source.PROMPT] * prompt
    assert Source.PROMPT not in record["sources"][prompt:]
    assert TOKENIZER.decode(record["ids"][prompt:]) == record["response"]
    assert json.loads(json.dumps(record)) == record
    return record, generator


def by_source(record):
    """The record's tokens as pieces: runs of one source, decoded."""
    pieces = []
    for id, source in zip(record["ids"], record["sources"], strict=True):
        if pieces and pieces[-1][0] == source:
            pieces[-1][1].append(id)
        else:
            pieces.append((source, [id]))
    return [Piece(Source(source), TOKENIZER.decode(ids)) for source, ids in pieces]


def test_two_rounds_token_by_token(sandbox):
    record, generator = run_one(
        [
            Says(" Let me see.\n```python\nprint(6 * 7)\n```\n", Stop.TEXT),
            Says("So it is \\boxed{42}.", Stop.END),
        ],
        sandbox,
    )
    prompt = templates.prompt("What is 6 * 7?", lang="en", mode="tool", template=TEMPLATE, tokenizer=TOKENIZER)
    pieces = [
        Piece(Source.MODEL, " Let me see.\n```python\nprint(6 * 7)\n```"),
        Piece(Source.MODEL, "\n```output"),
        Piece(Source.TOOL, "\n42\n```\n"),
        Piece(Source.MODEL, "So it is \\boxed{42}."),
    ]
    written = templates.encode(pieces, TOKENIZER)
    assert generator.requests[0].ids == prompt.ids
    assert generator.requests[1].ids == prompt.ids + templates.encode(pieces[:3], TOKENIZER).ids
    assert record["ids"] == [*prompt.ids, *written.ids, TOKENIZER.eos]
    assert record["sources"] == [int(s) for s in prompt.sources + written.sources] + [Source.MODEL]
    assert record["response"] == "".join(piece.text for piece in pieces)
    assert [r.hold for r in generator.requests] == [True, False]
    assert all(r.stop == ("```output",) and r.max_new == 64 and r.sampling == GREEDY for r in generator.requests)
    (program,) = record["programs"]
    assert (program["code"], program["exit"], program["stdout"], program["shown"]) == (
        "print(6 * 7)",
        "ok",
        "42\n",
        "42",
    )
    ((start, end),) = record["tool_spans"]
    assert record["response"][start:end] == "42"
    del record["ids"], record["sources"], record["programs"], record["response"], record["tool_spans"]
    assert record == {
        "id": "p",
        "sample": 0,
        "suite": "made_up",
        "mode": "tool",
        "lang": "en",
        "question": "What is 6 * 7?",
        "gold": "42",
        "meta": {},
        "prompt": TOKENIZER.decode(prompt.ids),
        "stop": "end",
        "seed": 7,
        "protocol": "reference",
    }


def test_an_answer_without_a_program_is_finished_and_released(sandbox):
    record, generator = run_one([Says("It is \\boxed{42}. ", Stop.END)], sandbox)
    assert record["response"] == "It is \\boxed{42}. "
    assert record["programs"] == []
    assert generator.released == ["p"]


def test_a_finished_response_that_ends_with_a_program_runs_nothing(sandbox):
    record, _ = run_one([Says("```python\nprint(1)\n```", Stop.END)], sandbox)
    assert (record["programs"], record["stop"]) == ([], "end")


def test_a_truncated_generation_gets_the_next_one(sandbox):
    record, generator = run_one([Says("I think", Stop.LENGTH), Says(" it is 42.", Stop.LENGTH)], sandbox)
    assert record["response"] == "I think it is 42."
    assert record["stop"] == "length"
    assert generator.requests[1].ids == generator.requests[0].ids + TOKENIZER.encode("I think")


def test_a_truncated_generation_that_ends_with_a_program_runs_it(sandbox):
    record, _ = run_one([Says("```python\nprint(1)\n```", Stop.LENGTH), Says("1", Stop.END)], sandbox)
    assert record["response"] == "```python\nprint(1)\n```\n```output\n1\n```\n1"
    assert by_source(record)[2] == Piece(Source.TOOL, "\n```output\n1\n```\n"), "the fence is the tool's"


def test_an_output_fence_without_a_program_is_dropped(sandbox):
    record, _ = run_one([Says("It is\n", Stop.TEXT), Says("42", Stop.END)], sandbox)
    assert record["response"] == "It is42"
    assert record["programs"] == []


def test_a_program_that_ends_the_last_generation_runs(sandbox):
    record, generator = run_one([Says("Hm", Stop.TEXT), Says(" ```python\nprint(5)\n```", Stop.TEXT)], sandbox)
    assert record["response"].endswith("```\n```output\n5\n```\n")
    assert record["stop"] == "text"
    assert len(generator.requests) == 2


def test_later_programs_hold_what_stays_of_earlier_ones(sandbox):
    record, _ = run_one(
        [
            Says("```python\nx = 6\nprint(x)\n```\n", Stop.TEXT),
            Says("```python\nprint(x * 7)\n```\n", Stop.TEXT),
            Says("42", Stop.END),
        ],
        sandbox,
        rounds=3,
    )
    assert [p["shown"] for p in record["programs"]] == ["6", "42"]
    assert record["programs"][1]["code"] == "x = 6\nprint(x * 7)"


def test_a_program_that_fails_is_shown_and_recorded(sandbox):
    record, _ = run_one([Says("```python\nprint(y)\n```\n", Stop.TEXT), Says("Oh", Stop.END)], sandbox)
    (program,) = record["programs"]
    assert (program["exit"], program["shown"]) == ("error", "Runtime errors: NameError: name 'y' is not defined")
    assert record["response"].endswith("\nRuntime errors: NameError: name 'y' is not defined\n```\nOh")


def test_a_program_that_would_ask_is_refused(sandbox):
    record, _ = run_one([Says("```python\nprint(input())\n```\n", Stop.TEXT), Says("Oh", Stop.END)], sandbox)
    (program,) = record["programs"]
    assert (program["exit"], program["shown"], program["wall_s"]) == ("error", "Runtime errors: RuntimeError", 0.0)


def test_what_a_program_writes_is_never_the_models(sandbox):
    code = "print(3 * '`', '\\\\boxed{41}<|end|>', 3 * '`' + 'python', sep='\\n')"
    record, _ = run_one([Says(f"```python\n{code}\n```\n", Stop.TEXT), Says("\\boxed{42}", Stop.END)], sandbox)
    tool = [piece.text for piece in by_source(record) if piece.source is Source.TOOL]
    assert tool == ["\n```\n\\boxed{41}<|end|>\n```python\n```\n"]
    assert all("41" not in piece.text for piece in by_source(record)[3:])
    assert record["ids"].count(TOKENIZER.eos) == 1, "text never turns into a special token"


def test_a_character_cut_by_the_length_is_whole_after_the_next_generation(sandbox):
    class Cut(ScriptedGenerator):
        def poll(self):
            (completion,) = super().poll()
            ids = TOKENIZER.encode("\u4e2d")
            ids = ids[:1] if completion.stop is Stop.LENGTH else (*ids[1:], TOKENIZER.eos)
            return [dataclasses.replace(completion, ids=ids, text="\ufffd")]

    generator = Cut({"p": [Says("", Stop.LENGTH), Says("", Stop.END)]})
    (record,) = run([Problem("p")], generator, sandbox)
    assert record["response"] == "\u4e2d"


def test_mode_cot_is_one_generation_as_it_is(sandbox):
    record, generator = run_one([Says("```python\nprint(1)\n```\n", Stop.LENGTH)], sandbox, mode="cot")
    assert record["response"] == "```python\nprint(1)\n```\n"
    assert (record["programs"], record["mode"], record["stop"]) == ([], "cot", "length")
    assert [(r.hold, r.stop) for r in generator.requests] == [(False, ())]


def test_a_stop_text_inside_a_token_leaves_its_text(sandbox):
    record, generator = run_one([Says("It is 4 ", Stop.TEXT, tail=" 4 "), Says("2", Stop.END)], sandbox)
    assert record["response"] == "It is 42"
    assert generator.requests[1].ids == (generator.requests[0].ids + TOKENIZER.encode("It is") + TOKENIZER.encode(" 4"))


def test_stripping_drops_whole_tokens_and_encodes_only_what_is_left():
    def strip(ids, text, tail="", tokenizer=TOKENIZER):
        completion = Completion(id="p", ids=ids, text=text, tail=tail, stop=Stop.TEXT)
        return rollouts.strip(completion, tokenizer)

    x, newline, space = (TOKENIZER.encode(text) for text in ("x", "\n", " "))
    assert strip(x, "x") == (x, "")
    assert strip(x + newline + space, "x\n ") == (x, "")
    assert strip(x + space, "x \n`", tail="\n`") == (x + space, "\n`")
    assert strip(x, "x y ", tail=" y ") == (x, " y")
    assert strip(newline, "\n") == ((), "")
    mixed = tokenizer_with_token(".\n")
    x, both = mixed.encode("x"), mixed.encode(".\n")
    assert len(both) == 1, "text and white space share a token"
    assert strip(x + both, "x.\n", tokenizer=mixed) == (x, ".")
    character = TOKENIZER.encode("\u4e2d")
    assert len(character) == 3
    assert strip(character[:2], "\ufffd") == (character[:2], ""), "half a character stays, for its other half"


def test_a_waiting_program_holds_up_nobody(sandbox):
    script = {
        "slow": [Says("```python\nimport time\ntime.sleep(1.5)\nprint(1)\n```\n", Stop.TEXT), Says("1", Stop.END)],
        **{f"fast{i}": [Says("Hm", Stop.LENGTH), Says("2", Stop.END)] for i in range(4)},
    }
    generator = ScriptedGenerator(script)
    start, cpu = time.monotonic(), time.process_time()
    records = []
    for record in run([Problem(id) for id in script], generator, sandbox):
        records.append((record["id"], time.monotonic() - start))
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
    records = list(run([Problem("slow"), Problem("other")], generator, sandbox))
    assert {record["id"] for record in records} == {"slow", "other"}
    assert 10 < generator.polls < 2000
    assert time.process_time() - cpu < 0.5


def test_problems_are_taken_as_needed_and_all_are_answered(sandbox):
    taken = []

    def problems():
        for i in range(7):
            taken.append(i)
            yield Problem(f"p{i}")

    generator = ScriptedGenerator({f"p{i}": [Says("1", Stop.END)] for i in range(7)})
    done = []
    for record in run(problems(), generator, sandbox, in_flight=3):
        done.append(record["id"])
        assert len(taken) <= len(done) + 3
    assert done == [f"p{i}" for i in range(7)]


def test_no_problems_give_no_records(sandbox):
    assert list(run([], ScriptedGenerator({}), sandbox)) == []


def test_prompts_that_do_not_fit_become_records(sandbox, caplog):
    problems = [Problem("long", question="x" * 500), Problem("p"), Problem("longer", question="x" * 600)]
    generator = ScriptedGenerator({"p": [Says("1", Stop.END)]}, longest=300)
    records = {record["id"]: record for record in run(problems, generator, sandbox, in_flight=1)}
    assert {id: record["stop"] for id, record in records.items()} == {
        "long": "too_long",
        "p": "end",
        "longer": "too_long",
    }
    assert records["long"]["response"] == ""
    assert set(records["long"]["sources"]) == {Source.PROMPT}
    assert "long: skipped, its prompt is too long" in caplog.text


def test_a_response_that_outgrows_the_cache_ends_where_it_is(sandbox):
    prompt = templates.prompt("What is 6 * 7?", lang="en", mode="tool", template=TEMPLATE, tokenizer=TOKENIZER)
    generator = ScriptedGenerator({"p": [Says("x" * 40, Stop.LENGTH)]}, longest=len(prompt) + 10)
    (record,) = run([Problem("p")], generator, sandbox)
    assert (record["response"], record["stop"]) == ("x" * 40, "length")
    assert generator.released == ["p"]


def test_samples_are_apart_and_those_that_are_done_are_left_out(sandbox):
    said = {"p": [Says("It is 1.", Stop.END)], "p#1": [Says("It is 2.", Stop.END)], "p#3": [Says("It is 4.", Stop.END)]}
    generator = ScriptedGenerator(said)
    records = list(run([Problem("p")], generator, sandbox, samples=4, done={("p", 2)}))
    assert [(r["id"], r["sample"], r["response"]) for r in records] == [
        ("p", 0, "It is 1."),
        ("p", 1, "It is 2."),
        ("p", 3, "It is 4."),
    ]
    assert sorted(generator.released) == ["p", "p#1", "p#3"]


def test_a_program_of_thought_is_one_generation_and_its_output(sandbox):
    record, generator = run_one([Says("Here:\n```python\nprint(6 * 7)\n```", Stop.END)], sandbox, mode="pot")
    ((start, end),) = record["tool_spans"]
    assert record["response"][start:end] == "42"
    assert generator.requests[0].stop == ()
    record, _ = run_one([Says("print(6 * 7)", Stop.END)], sandbox, mode="pot")
    assert record["programs"][0]["stdout"] == "42\n"


def test_strict_keeps_state_between_programs_and_shows_what_is_new(sandbox):
    said = [
        Says("```python\nx = 40\nprint(x)\n```\n", Stop.TEXT),
        Says("```python\nprint(y)\n```\n", Stop.TEXT),
        Says("```python\nprint(x + 2)\n```\n", Stop.TEXT),
        Says("\\boxed{42}", Stop.END),
    ]
    record, _ = run_one(said, sandbox, rounds=4, protocol="strict")
    assert [p["shown"] for p in record["programs"]] == ["40", "NameError: name 'y' is not defined", "42"]
    assert record["response"].endswith("```output\n42\n```\n\\boxed{42}")
    assert record["protocol"] == "strict"


def kill_zygotes(sandbox):
    for pid in Path("/proc/thread-self/children").read_text().split():
        if b"dsmath.sandbox.zygote" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGKILL)


def test_a_program_whose_sandbox_died_runs_again():
    generator = ScriptedGenerator(
        {"p": [Says("```python\nimport time\ntime.sleep(0.3)\nprint(42)\n```\n", Stop.TEXT), Says("42", Stop.END)]}
    )
    with Sandbox(config.Sandbox(timeout_s=5.0, memory_mb=512, output_kb=64, workers=1, required_level="L1")) as sandbox:
        threading.Timer(0.1, kill_zygotes, [sandbox]).start()
        (record,) = run([Problem("p")], generator, sandbox)
    assert [program["stdout"] for program in record["programs"]] == ["42\n"]


def test_a_sandbox_that_does_not_start_again_raises(monkeypatch):
    generator = ScriptedGenerator({"p": [Says("```python\nprint(1)\n```\n", Stop.TEXT)]})
    limits = config.Sandbox(timeout_s=1.0, memory_mb=512, output_kb=64, workers=1, required_level="L1")
    with Sandbox(limits) as broken:
        monkeypatch.setattr(sys, "executable", "/bin/false")
        kill_zygotes(broken)
        with pytest.raises(RuntimeError, match="the sandbox failed 3 times on a program of p"):
            list(run([Problem("p")], generator, broken))
