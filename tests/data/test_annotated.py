"""From samples to the source `annotated`: what is asked, which solutions are kept, what a preparation makes of them."""

import ast
import contextlib
import dataclasses
import io
import itertools
import json

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsmath import config
from dsmath.data import prepared, problems
from dsmath.data.preparation import prepare
from dsmath.data.stages import choice, solutions
from dsmath.error import UserError
from dsmath.records import Stop
from dsmath.sandbox.client import Sandbox
from dsmath.score.graders import Grading
from dsmath.text import template as templates
from tests.data.published import PLAIN, ROW, settings, write
from tests.data.sampled import LINE
from tests.rollout.conftest import LIMITS
from tests.rollout.scripted import TEMPLATE, Says, ScriptedGenerator, problem, run
from tests.suites import made_up

META = {"row": "train.jsonl:7", "license": "CC0-1.0", "topic": "sums"}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def grading():
    with Grading(workers=1) as grading:
        yield grading


def asked(id="p", gold="42"):
    found = problem(id, suite="own-train", gold=gold)
    found.meta.update(META)
    return found


def tool(code, answer="42", plan="Multiply."):
    """A solution as a model writes it: it asks for its program's output."""
    return [Says(f" {plan}\n```python\n{code}\n```\n", Stop.TEXT), Says(f"So it is \\boxed{{{answer}}}.", Stop.END)]


def annotated(scripts, sandbox, grading, *, keep=2, mode="tool", rounds=2, wanted=("p",)):
    """What becomes of scripted samples, by their script's place; `scripts` are those of each problem in turn."""
    asked_of = [asked(id) for id in wanted]
    flat = {
        f"{id}#{i}" if i else id: said for id, own in zip(wanted, scripts, strict=True) for i, said in enumerate(own)
    }
    made = run(asked_of, ScriptedGenerator(flat), sandbox, mode=mode, rounds=rounds, samples=len(scripts[0]))
    trajectories = sorted(made, key=lambda t: t.key, reverse=True)  # they are finished in any order
    return trajectories, solutions.chosen(asked_of, solutions.judged(trajectories, TEMPLATE, grading), keep)


SAMPLES = (  # in the order of samples, and what each falls by where two are kept
    (tool("x = 6 * 7\nprint(x)"), ""),
    (tool("# the product\nproduct = 6*7\n\nprint(product)", plan="Six sevens."), choice.AGAIN),
    (tool("print(6 * 8)", answer="48"), "the answer is another one"),
    (tool("print(6 * 8)"), "the program prints another answer"),
    (tool("print(6 * 7)", answer="41"), "the answer is another one"),
    (tool("x = 7\nprint(x * 6)"), ""),
    (tool("import math\nprint(math.prod((6, 7)))"), choice.BEYOND),
    (tool("import math\nprint(math.prod((6, 7)))"), choice.AGAIN),
    (tool("x = 6 * 7\nprint(x)"), choice.AGAIN),
    (tool("print(6 * 7"), "a program ended in error"),
    (tool("x = 6 * 7"), "a program prints nothing"),
    ([Says("It is \\boxed{42}.", Stop.END)], "no program to run"),
    ([Says("```python\nprint(42)\n```", Stop.LENGTH), Says("It is \\boxed{42}.", Stop.END)], "cut at its length"),
    ([*tool("print(42)")[:1], Says("It is \\boxed{42}. It", Stop.LENGTH)], "cut at its length"),
    ([*tool("print(42)")[:1], *tool("print(42)")[:1]], "no end after the last program"),
)


def test_of_right_solutions_the_first_different_ones_are_kept_and_no_others(sandbox, grading):
    _, found = annotated([[said for said, _ in SAMPLES]], sandbox, grading)
    assert [(r.sample, r.fell) for r in found] == [(i, fell) for i, (_, fell) in enumerate(SAMPLES)]
    assert [r.turns for r in found if r.kept] == [
        ("Multiply.\n```python\nx = 6 * 7\nprint(x)\n```", "So it is \\boxed{42}."),
        ("Multiply.\n```python\nx = 7\nprint(x * 6)\n```", "So it is \\boxed{42}."),
    ]


def test_figures_account_for_every_sample(sandbox, grading):
    wrong = [tool("print(1)", answer="1")] * 3
    right = [tool("print(42)"), tool("print(40 + 2)"), tool("print(6 * 7)")]
    _, found = annotated([right, wrong, right[:1] * 3], sandbox, grading, keep=1, wanted=("a", "b", "c"))
    figures = solutions.figures(found)
    assert (figures["problems"], figures["samples"], figures["correct"]) == (3, 9, 6)
    assert (figures["solved"], figures["kept"], figures["different"]) == (2, 2, 4)
    assert figures["fell"] == {"the answer is another one": 3, choice.AGAIN: 2, choice.BEYOND: 2}
    assert figures["kept"] + sum(figures["fell"].values()) == figures["samples"]
    assert figures["accuracy"] == pytest.approx(100 * 6 / 9)
    assert figures["tokens"] > 0


MODES = (
    ("tool", 2, tool("x = 6 * 7\nprint(x)")),
    ("tool", 3, [*tool("y = 6\nprint(y)")[:1], *tool("y = 6 * 7\nprint(y)", plan="Now the product.  ")]),
    ("cot", 1, [Says(" Six times seven is \\boxed{42}.\n", Stop.END)]),
    ("pot", 1, [Says(" ```python\nprint(6 * 7)\n```\n", Stop.END)]),
)


@pytest.mark.parametrize(("mode", "rounds", "said"), MODES, ids=["one program", "two", "cot", "pot"])
def test_a_kept_solution_is_prepared_as_the_text_that_was_sampled(tmp_path, sandbox, grading, mode, rounds, said):
    (trajectory,), (kept,) = annotated([[said]], sandbox, grading, mode=mode, rounds=rounds)
    assert kept.kept, kept.fell
    write(tmp_path, "annotated", [solutions.line(kept, "own")], "round1.jsonl")
    wanted = settings(sources=("annotated",), modes=(mode,))
    manifest = prepare(wanted, tmp_path / "data", tmp_path)
    assert manifest["sources"]["annotated"]["modes"][mode]["verified"] == 1
    example = prepared.examples(tmp_path / "data", wanted)[0]
    sampled = [(piece.source, piece.text) for piece in trajectory.response][: 1 if mode == "pot" else None]
    first, *rest = [(piece.source, piece.text) for piece in example.solution]
    lead = TEMPLATE.lead  # training writes it before a solution
    assert [(first[0], lead + first[1]), *rest] == sampled
    assert (example.question, example.answer, example.mode) == ("What is 6 * 7?", "42", mode)
    assert (example.source, example.row) == ("annotated", "round1.jsonl:1")
    assert (example.license, example.topic) == ("CC0-1.0", "sums")


def test_templates_ask_and_lead_as_the_one_that_replays():
    """Turns are taken apart by the template that sampled, and put together by `reference`."""
    assert {template.asks for template in templates.TEMPLATES.values()} == {TEMPLATE.asks}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mode": "cots"}, "its mode is none of ours"),
        ({"turns": []}, "its turns are no texts"),
        ({"turns": ["It is", 42]}, "its turns are no texts"),
        ({"lang": "fr"}, "its language is none of ours"),
        ({"answer": "43"}, "the answer is another one"),
    ],
)
def test_a_line_that_is_no_solution_is_dropped_with_the_reason(tmp_path, changes, reason):
    write(tmp_path, "annotated", [LINE, LINE | changes], "a.jsonl")
    manifest = prepare(settings(sources=("annotated",), modes=("cot",)), tmp_path / "data", tmp_path)
    counts = manifest["sources"]["annotated"]["modes"]["cot"]
    assert (counts["kept"], counts["dropped"]) == (1, {reason: 1})


def test_files_of_several_rounds_are_one_source_and_their_modes_kept_apart(tmp_path):
    write(tmp_path, "annotated", [LINE, LINE | {"mode": "pot", "turns": ["print(4 * 23)"]}], "a.jsonl")
    write(tmp_path, "annotated", [LINE | {"turns": ["There are \\boxed{92} trees."]}], "b.jsonl")
    wanted = settings(sources=("annotated",), modes=("cot", "pot"))
    modes = prepare(wanted, tmp_path / "data", tmp_path)["sources"]["annotated"]["modes"]
    assert {mode: (counts["read"], counts["kept"]) for mode, counts in modes.items()} == {"cot": (2, 2), "pot": (1, 1)}


SAME = (
    ("x = 1\nprint(x)", "# one\ny = 1\n\nprint( y )  # it"),
    ("def f(a):\n    '''Adds.'''\n    return a + 1\nprint(f(1))", "def g(b):\n  return (b + 1)\n\nprint(g(1))"),
    ("import math as m\nprint(m.pi)", "import math as n\nprint(n.pi)"),
    ("for i in range(3):\n    print(i)", "for item in range(3):\n    print(item)"),
    ("print([a for a in 'xy'])", 'print([b for b in "xy"])'),
    ("try:\n  x = 1\nexcept ValueError as e:\n  print(e)", "try:\n  x = 1\nexcept ValueError as err:\n  print(err)"),
    ("print(1", "print(1  \n\n"),
)
DIFFERENT = (
    ("x = 1\nprint(x)", "x = 2\nprint(x)"),
    ("a = 1\nb = 2\nprint(a)", "a = 1\nb = 2\nprint(b)"),
    ("sum = sum([1, 2])", "max = max([1, 2])"),
    ("from math import sin\nprint(sin(1))", "from math import cos\nprint(cos(1))"),
    ("class A:\n  x = 1\n  y = 2\nprint(A.x)", "class A:\n  y = 1\n  x = 2\nprint(A.x)"),
    ("def f(a, b): return a - b\nprint(f(a=1, b=2))", "def f(b, a): return b - a\nprint(f(a=1, b=2))"),
    ("print(1 + 2)", "print(2 + 1)"),
    ("print('a  b')", "print('a b')"),
)


@pytest.mark.parametrize(("a", "b"), SAME)
def test_names_comments_and_spaces_make_no_other_program(a, b):
    assert choice.normalised(a) == choice.normalised(b)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_what_computes_something_else_is_another_program(a, b):
    assert choice.normalised(a) != choice.normalised(b)


NAMES = ("a", "b", "total")
VALUES = st.one_of(st.integers(0, 3).map(str), st.sampled_from(NAMES))
LINES = st.one_of(
    st.builds("{} = {} {} {}".format, st.sampled_from(NAMES), VALUES, st.sampled_from("+-*"), VALUES),
    st.builds("print({})".format, VALUES),
)
PROGRAMS = st.lists(LINES, min_size=1, max_size=4).map(lambda lines: "\n".join(["a = b = total = 1", *lines]))


@hypothesis.settings(deadline=None)
@given(PROGRAMS, st.permutations(("x", "a", "total", "length")), st.data())
def test_a_program_that_is_written_otherwise_is_the_same(program, names, data):
    renamed = ast.parse(program)
    new = dict(zip(NAMES, names, strict=False))
    for node in ast.walk(renamed):
        if isinstance(node, ast.Name):
            node.id = new.get(node.id, node.id)
    lines = ast.unparse(renamed).splitlines()
    between = data.draw(st.lists(st.sampled_from(["", "# why", "   "]), min_size=len(lines), max_size=len(lines)))
    assert choice.normalised("\n".join(itertools.chain(*zip(between, lines, strict=True)))) == choice.normalised(
        program
    )


def printed(program: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(program, {})
    return out.getvalue()


@hypothesis.settings(deadline=None)
@given(PROGRAMS, PROGRAMS)
def test_programs_that_are_alike_print_the_same(a, b):
    if choice.normalised(a) == choice.normalised(b):
        assert printed(a) == printed(b)


@hypothesis.settings(deadline=None)
@given(st.lists(st.integers(0, 4)), st.integers(1, 4))
def test_of_so_many_solutions_at_most_so_many_different_ones_stay_the_first_of_each(alike, keep):
    fates = choice.fates(alike, keep)
    kept = [i for i, fate in enumerate(fates) if not fate]
    firsts = [alike.index(value) for value in dict.fromkeys(alike)]
    assert kept == firsts[:keep]
    assert [i for i, fate in enumerate(fates) if fate == choice.BEYOND] == firsts[keep:]


def annotating(**changes) -> config.Annotate:
    base = {"sources": ("gsm8k",), "embedded_problems": 0, "mode": "tool", "protocol": "reference", "samples": 2}
    base |= {"keep": 1, "limit": None, "unsolved": False, "temperature": 1.0, "top_p": 1.0}
    return config.Annotate(**base | changes)


def experiment(decontaminate=(), **changes) -> config.Config:
    base = settings(sources=("gsm8k",), decontaminate=decontaminate)
    return dataclasses.replace(base, annotate=annotating(**changes))


def find(wanted, data_dir, solved=()):
    found, _ = problems.find(wanted, data_dir, solved=solved, allow_missing=False)
    return found


def rows(n):
    return [ROW | {"question": f"{i}: {ROW['question']}"} for i in range(n)]


def test_every_question_with_a_gold_is_asked_once_and_the_rest_is_counted(tmp_path):
    leaked, *_ = found = list(made_up.rows("svamp"))
    made_up.write(tmp_path, "svamp", json.dumps(found), "SVAMP.json")
    leak = ROW | {"question": f"{leaked['Body']}. {leaked['Question']}"}
    given_rows = [ROW, PLAIN, leak, {"question": "No answer?"}, *rows(2)]
    write(tmp_path, "gsm8k", given_rows)
    found = find(experiment(decontaminate=("svamp",)), tmp_path, solved={"0: " + ROW["question"]})["gsm8k"]
    assert [(p.question, p.gold, p.lang) for p in found.problems] == [
        (ROW["question"], "408", "en"),
        ("1: " + ROW["question"], "408", "en"),
    ]
    assert found.skipped == {
        "a part of svamp": 1,
        "asked before": 1,
        "has a solution in the training set": 1,
        "the field 'answer' is missing": 1,
    }
    assert [p.id for p in found.problems] == ["gsm8k-train.jsonl:1", "gsm8k-train.jsonl:6"]
    assert found.problems[0].meta == {"row": "train.jsonl:1", "license": "MIT", "topic": ""}


def test_the_generator_s_training_problems_are_asked_in_both_languages_whatever_the_limit(tmp_path):
    found = find(experiment(sources=("embedded",), embedded_problems=50, limit=30), None)["embedded"]
    assert len(found.problems) == 30
    assert found.skipped == {"beyond the limit": 70}
    assert {p.lang for p in found.problems} == {"en", "zh"}
    assert all("-train-" in p.id for p in found.problems)


def test_a_larger_limit_asks_what_a_smaller_one_does_and_another_seed_something_else(tmp_path):
    write(tmp_path, "gsm8k", rows(40))
    few, many = ({p.id for p in find(experiment(limit=limit), tmp_path)["gsm8k"].problems} for limit in (10, 20))
    other = dataclasses.replace(experiment(limit=10), seed=1)
    assert few < many
    assert len(few) == 10
    assert {p.id for p in find(other, tmp_path)["gsm8k"].problems} != few


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": ("gsm9k",)}, r"config.annotate.sources is \('gsm9k',\); expected one or more of embedded, gsm8k"),
        ({"sources": ()}, r"config.annotate.sources is \(\)"),
        ({"sources": ("gsm8k", "gsm8k")}, "each once"),
        ({"mode": "cots"}, "config.annotate.mode is 'cots'; expected one of: cot, tool, pot"),
        ({"sources": ("embedded",)}, "config.annotate.embedded_problems is 0; expected at least 1"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as e:
        find(experiment(**changes), tmp_path)
    assert "\n" not in str(e.value)


def test_nothing_left_to_ask_is_told_with_the_reasons(tmp_path):
    write(tmp_path, "gsm8k", [ROW])
    with pytest.raises(UserError, match=r"no problem is left .*gsm8k: has a solution in the training set, 1"):
        find(experiment(), tmp_path, solved={ROW["question"]})
    with pytest.raises(UserError, match=r"config.annotate is missing"):
        problems.checked(settings())
