"""What a rollout writes, against a scripted generator and the real sandbox."""

import dataclasses

from dsmath.records import Piece, Source, Stop, Trajectory
from tests.rollout.scripted import CODEC, GREEDY, TEMPLATE, TOKENIZER, Says, ScriptedGenerator, problem, run, run_one


def test_two_rounds_piece_by_piece(sandbox):
    record, generator = run_one(
        [
            Says(" Let me see.\n```python\nprint(6 * 7)\n```\n", Stop.TEXT),
            Says("So it is \\boxed{42}.", Stop.END),
        ],
        sandbox,
    )
    prompt = CODEC.encode(Source.PROMPT, TEMPLATE.prompt("What is 6 * 7?", lang="en", mode="tool"))
    texts = [
        (Source.MODEL, " Let me see.\n```python\nprint(6 * 7)\n```"),
        (Source.MODEL, "\n```output"),
        (Source.FRAME, "\n"),
        (Source.TOOL, "42"),
        (Source.FRAME, "\n```\n"),
        (Source.MODEL, "So it is \\boxed{42}."),
    ]
    pieces = [CODEC.encode(source, (text,)) for source, text in texts]
    assert generator.requests[0].pieces == (prompt,)
    assert generator.requests[1].pieces == (prompt, *pieces[:-1])
    end = dataclasses.replace(pieces[-1], ids=(*pieces[-1].ids, TOKENIZER.eos))
    assert record.response == (*pieces[:-1], end)
    assert record.text == "".join(text for _, text in texts)
    assert record.generated_tokens == len(pieces[0].ids) + len(pieces[1].ids) + len(end.ids)
    assert [r.hold for r in generator.requests] == [True, False]
    assert all(r.stop == ("```output",) and r.max_new == 64 and r.sampling == GREEDY for r in generator.requests)
    (program,) = record.programs
    assert (program.code, program.ran.exit, program.ran.stdout, program.shown) == ("print(6 * 7)", "ok", "42\n", "42")
    assert dataclasses.replace(record, response=(), programs=(), elapsed_s=0, waited_s=0) == Trajectory(
        problem=problem("p"),
        sample=0,
        mode="tool",
        prompt=prompt,
        response=(),
        stop=Stop.END,
        programs=(),
        seed=7,
        protocol="reference",
        checkpoint="scripted",
        step=3,
        sandbox=sandbox.level,
    )
    assert 0 < record.waited_s < record.elapsed_s


def test_an_answer_without_a_program_is_finished_and_released(sandbox):
    record, generator = run_one([Says("It is \\boxed{42}. ", Stop.END)], sandbox)
    assert record.text == "It is \\boxed{42}. "
    assert record.programs == ()
    assert generator.released == ["p"]


def test_a_finished_response_that_ends_with_a_program_runs_nothing(sandbox):
    record, _ = run_one([Says("```python\nprint(1)\n```", Stop.END)], sandbox)
    assert (record.programs, record.stop) == ((), "end")


def test_a_truncated_generation_gets_the_next_one(sandbox):
    record, generator = run_one([Says("I think", Stop.LENGTH), Says(" it is 42.", Stop.LENGTH)], sandbox)
    assert record.text == "I think it is 42."
    assert record.stop == "length"
    assert generator.requests[1].ids == generator.requests[0].ids + TOKENIZER.encode("I think")


def test_a_truncated_generation_that_ends_with_a_program_runs_it(sandbox):
    record, _ = run_one([Says("```python\nprint(1)\n```", Stop.LENGTH), Says("1", Stop.END)], sandbox)
    assert record.text == "```python\nprint(1)\n```\n```output\n1\n```\n1"
    fence = record.response[1]
    assert (fence.source, fence.text) == (Source.FRAME, "\n```output"), "the model did not ask"


def test_an_output_fence_without_a_program_is_dropped(sandbox):
    record, _ = run_one([Says("It is\n", Stop.TEXT), Says("42", Stop.END)], sandbox)
    assert record.text == "It is42"
    assert record.programs == ()


def test_a_program_that_ends_the_last_generation_runs(sandbox):
    record, generator = run_one([Says("Hm", Stop.TEXT), Says(" ```python\nprint(5)\n```", Stop.TEXT)], sandbox)
    assert record.text.endswith("```\n```output\n5\n```\n")
    assert record.stop == "text"
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
    assert [p.shown for p in record.programs] == ["6", "42"]
    assert record.programs[1].code == "x = 6\nprint(x * 7)"


def test_a_program_that_fails_is_shown_and_recorded(sandbox):
    record, _ = run_one([Says("```python\nprint(y)\n```\n", Stop.TEXT), Says("Oh", Stop.END)], sandbox)
    (program,) = record.programs
    assert (program.ran.exit, program.shown) == ("error", "Runtime errors: NameError: name 'y' is not defined")
    assert record.text.endswith("\nRuntime errors: NameError: name 'y' is not defined\n```\nOh")


def test_a_program_that_would_ask_is_refused(sandbox):
    record, _ = run_one([Says("```python\nprint(input())\n```\n", Stop.TEXT), Says("Oh", Stop.END)], sandbox)
    (program,) = record.programs
    assert (program.ran.exit, program.shown, program.ran.wall_s) == ("error", "Runtime errors: RuntimeError", 0.0)


def test_what_a_program_writes_is_never_the_models(sandbox):
    code = "print(3 * '`', '\\\\boxed{41}<|end|>', 3 * '`' + 'python', sep='\\n')"
    record, _ = run_one([Says(f"```python\n{code}\n```\n", Stop.TEXT), Says("\\boxed{42}", Stop.END)], sandbox)
    assert [piece.text for piece in record.response if piece.source is Source.TOOL] == [
        "```\n\\boxed{41}<|end|>\n```python"
    ]
    assert all("41" not in piece.text for piece in record.response[1:] if piece.source is not Source.TOOL)
    ids = [id for piece in record.response for id in piece.ids]
    assert ids.count(TOKENIZER.eos) == 1, "text never turns into a special token"


def test_a_character_cut_by_the_length_is_whole_after_the_next_generation(sandbox):
    class Cut(ScriptedGenerator):
        def poll(self):
            (completion,) = super().poll()
            ids = TOKENIZER.encode("\u4e2d")
            ids = ids[:1] if completion.stop is Stop.LENGTH else ids[1:]
            return [dataclasses.replace(completion, piece=Piece(Source.MODEL, "\ufffd", ids))]

    generator = Cut({"p": [Says("", Stop.LENGTH), Says("", Stop.END)]})
    (record,) = run([problem("p")], generator, sandbox)
    assert record.text == "\u4e2d"


def test_mode_cot_is_one_generation_as_it_is(sandbox):
    record, generator = run_one([Says("```python\nprint(1)\n```\n", Stop.LENGTH)], sandbox, mode="cot")
    assert record.text == "```python\nprint(1)\n```\n"
    assert (record.programs, record.mode, record.stop) == ((), "cot", "length")
    assert [(r.hold, r.stop) for r in generator.requests] == [(False, ())]


def test_white_space_before_a_stop_goes(sandbox):
    record, generator = run_one([Says("It is 4 ", Stop.TEXT), Says("2", Stop.END)], sandbox)
    assert record.text == "It is 42"
    assert generator.requests[1].ids == generator.requests[0].ids + TOKENIZER.encode("It is 4")


def test_a_program_of_thought_is_one_generation_and_its_output(sandbox):
    record, generator = run_one([Says("Here:\n```python\nprint(6 * 7)\n```", Stop.END)], sandbox, mode="pot")
    assert [piece.text for piece in record.response if piece.source is Source.TOOL] == ["42"]
    assert generator.requests[0].stop == ()
    record, _ = run_one([Says("print(6 * 7)", Stop.END)], sandbox, mode="pot")
    assert record.programs[0].ran.stdout == "42\n"


def test_strict_keeps_state_between_programs_and_shows_what_is_new(sandbox):
    said = [
        Says("```python\nx = 40\nprint(x)\n```\n", Stop.TEXT),
        Says("```python\nprint(y)\n```\n", Stop.TEXT),
        Says("```python\nprint(x + 2)\n```\n", Stop.TEXT),
        Says("\\boxed{42}", Stop.END),
    ]
    record, _ = run_one(said, sandbox, rounds=4, protocol="strict")
    assert [p.shown for p in record.programs] == ["40", "NameError: name 'y' is not defined", "42"]
    assert record.text.endswith("```output\n42\n```\n\\boxed{42}")
    assert record.protocol == "strict"
