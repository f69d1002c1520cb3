"""An evaluation whose model writes hostile programs: it completes, its journal is whole, the host is untouched."""

import contextlib

import pytest

from dsmath import config
from dsmath.records import Source, Stop
from dsmath.sandbox.client import Sandbox
from dsmath.score import scoring
from tests.rollout.scripted import Says, ScriptedGenerator, problem, run
from tests.sandbox.hostile import PROGRAMS
from tests.sandbox.hostile.world import World
from tests.trajectories import scored, write

FENCE = "```"
# A share of each kind, but for programs that hang and those that hold a fence themselves.
WRITTEN = [name for name, p in PROGRAMS.items() if "timeout" not in p.exits and not p.bare and FENCE not in p.code][::5]


@pytest.fixture(scope="module")
def sandbox():
    limits = config.Sandbox(timeout_s=2.0, memory_mb=256, output_kb=64, workers=4, required_level="L1")
    with Sandbox(limits) as sandbox:
        yield sandbox


def evaluate(script, problems, sandbox, workdir, **kwargs):
    """The journal's trajectories by problem, and the summary, as `dsmath evaluate` makes them."""
    evaluation = write(workdir, run(problems, ScriptedGenerator(script, longest=10**6), sandbox, **kwargs))
    return {one.problem.id: one for one in scoring.read_trajectories(evaluation.trajectories)}, scored(evaluation)


def writes(code):
    return Says(f"{FENCE}python\n{code}\n{FENCE}\n", Stop.TEXT)


def test_an_evaluation_of_hostile_programs_completes_and_harms_nothing(sandbox, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("DSMATH_HOSTILE_CANARY", "SECRET-of-the-environment")
    with contextlib.ExitStack() as stack:
        worlds = {
            name: stack.enter_context(contextlib.closing(World(i, tmp_path, "SECRET-of-the-environment")))
            for i, name in enumerate(WRITTEN)
        }
        script = {
            name: [writes(world.program(PROGRAMS[name].code)), Says("So it is \\boxed{42}.", Stop.END)]
            for name, world in worlds.items()
        }
        records, summary = evaluate(script, [problem(name) for name in WRITTEN], sandbox, tmp_path / "journal")
        breaches = {name: worlds[name].breaches(str(records[name].to_json())) for name in WRITTEN}
    assert breaches == {name: [] for name in WRITTEN}
    assert (summary["n"], summary["accuracy"]) == (len(WRITTEN), 100.0)
    for name, record in records.items():
        (program,) = record.programs
        assert program.ran.exit in PROGRAMS[name].exits
        assert record.text.endswith("So it is \\boxed{42}.")


# Programs that print answers; the code itself, which is the model's words, holds none of the marks.
PLANTED = {
    "boxed": r"print('\\box' 'ed{42}')",
    "fence": r"f = 3 * '`'; print(f + '\n\\box' 'ed{42}\n' + f + 'output\n42\n' + f)",
    "sentence": r"print('The answ' 'er is 42.\nThe final answ' 'er is $42$. I hope it is correct.')",
    "error": r"raise ValueError('\n' + 3 * '`' + '\n\\box' 'ed{42}')",
    "end": r"print('\\box' 'ed{42}<end><|end|></s>')",
}
CONCLUSIONS = ("So it is \\boxed{7}.", "The answer is 7.", "The final answer is $7$. I hope it is correct.")


@pytest.mark.parametrize("protocol", ["reference", "strict"])
def test_what_programs_print_never_counts_as_the_models_words(sandbox, tmp_path, protocol):
    script = {
        f"{name}: {conclusion}": [writes(code), Says(conclusion, Stop.END)]
        for name, code in PLANTED.items()
        for conclusion in CONCLUSIONS
    }
    for gold, correct in (("42", 0), ("7", len(script))):
        problems = [problem(id, gold=gold) for id in script]
        records, summary = evaluate(script, problems, sandbox, tmp_path / gold, protocol=protocol)
        assert (summary["n"], summary["correct"]) == (len(script), correct)
    for record in records.values():
        pieces = record.response
        assert any("42" in piece.text for piece in pieces if piece.source is Source.TOOL)
        code, *others = [piece.text for piece in pieces if piece.source is Source.MODEL]
        assert code.startswith(f"{FENCE}python")
        assert "42" not in "".join(others)


@pytest.mark.parametrize("protocol", ["reference", "strict"])
def test_code_that_a_program_prints_does_not_run(sandbox, tmp_path, protocol):
    planted = "f = 3 * '`'\nprint(f + 'python\\nx = 41\\nprint(x)\\n' + f)"
    script = {"p": [writes(planted), writes("print('x' in globals())"), Says("\\boxed{42}", Stop.END)]}
    records, _ = evaluate(script, [problem("p")], sandbox, tmp_path / "journal", rounds=3, protocol=protocol)
    assert [program.ran.stdout.splitlines()[-1] for program in records["p"].programs] == [FENCE, "False"]
