"""Every open system runs on random weights of its architecture, in the layout of its family, through the engine."""

import collections
import itertools
import json

import jax
import pytest

from dsmath.engine.engine import Engine
from dsmath.model import decoder
from dsmath.records import Source, Stop
from dsmath.rollout.rollout import Setup, rollout
from dsmath.suites import catalogue
from dsmath.systems import fewshot
from dsmath.systems.roster import SYSTEMS
from dsmath.text.codec import end_tokens
from dsmath.text.generator import Sampling
from dsmath.text.template import written
from tests.model import released
from tests.model.loading import load

LENGTH, NEW = 1200, 6  # tokens of a sequence, and of a generation
FAMILIES = collections.defaultdict(list)
for one in SYSTEMS.values():
    if one.weights:
        FAMILIES[one.weights.family].append(one)


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def family(request, codec, tmp_path_factory):
    """The ways of a family's systems, by name and mode, and an engine with small weights as theirs are."""
    folder, examples = tmp_path_factory.mktemp(request.param), tmp_path_factory.mktemp("examples")
    for mode in ("cot", "pot"):
        (examples / f"{mode}.txt").write_text("Question: 1 + 1?\nThe answer is 2.")
    released.write(request.param, folder)
    settings = json.loads((folder / "config.json").read_text())
    longer = {name: LENGTH for name in ("max_position_embeddings", "seq_length") if name in settings}
    (folder / "config.json").write_text(json.dumps(settings | longer))
    arch, params = load(folder)
    ways = {}
    for system in FAMILIES[request.param]:
        asked = fewshot.ways(system, examples if any(map(fewshot.takes, system.ways.values())) else None)
        ways |= {(system.name, mode): asked("embedded", mode) for mode in system.ways}
    ends = itertools.chain.from_iterable(end_tokens(way.template, codec.tokenizer) for way in ways.values())
    sizes = {"slots": 2, "cache_length": LENGTH, "decode_steps": NEW}
    return (
        ways,
        Engine(decoder.unstack(jax.device_put(params)), arch, codec.tokenizer, end_tokens=frozenset(ends), **sizes),
        arch,
    )


def test_every_way_of_asking_ends_in_an_answer(family, sandbox):
    ways, engine, arch = family
    problems = [*catalogue.problems("embedded")[:1], *catalogue.problems("embedded")[-1:]]
    assert {problem.lang for problem in problems} == {"en", "zh"}
    for (name, mode), way in ways.items():
        setup = Setup(
            way.template, way.protocol, mode, Sampling(0.0, 1.0, None, 0), NEW, way.protocol.rounds, 1, name, 0,
            way.otherwise,
        )  # fmt: skip
        answers = {t.problem.id: t for t in rollout(problems, engine, sandbox, setup)}
        assert answers.keys() == {problem.id for problem in problems}, name
        for problem in problems:
            answer = answers[problem.id]
            prompts = [piece.text for piece in (*(attempt.prompt for attempt in answer.attempts), answer.prompt)]
            assert prompts[0] == written(way.template.prompt(problem.question, lang=problem.lang, mode=mode)), name
            assert answer.stop in (Stop.END, Stop.TEXT, Stop.LENGTH), name
            ids = [id for piece in answer.response if piece.source is Source.MODEL for id in piece.ids]
            assert all(0 <= id < arch.vocab_size for id in ids), name
            assert ids or answer.stop is not Stop.LENGTH, name
