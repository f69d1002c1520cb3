"""No dead switch: another value in any field of a config changes what a verb makes of it.

Every field is seen through the functions that verbs call; one without a nudge fails. The sizes of the architecture have
a sweep of their own, in tests/model/test_decoder.py.
"""

import collections
import contextlib
import dataclasses
import functools
import io
import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import rich.console

from dsmath import config, runs
from dsmath.cli import annotate, evaluate, subject, train
from dsmath.config import Config
from dsmath.data import prepared as sets
from dsmath.data.feed import pipeline
from dsmath.data.feed.pipeline import Part
from dsmath.data.feed.tokenise import Tokenise
from dsmath.data.preparation import prepare
from dsmath.engine import memory
from dsmath.error import UserError
from dsmath.model import decoder, folder, paged
from dsmath.records import Example, Source, Stop
from dsmath.rollout.evaluation import Subject
from dsmath.rollout.ways import Ways
from dsmath.sandbox.client import Sandbox
from dsmath.sharding import TRAINING, make_mesh, place
from dsmath.suites.embedded import generate
from dsmath.text import template as templates
from dsmath.text import tokenizer as tokenizers
from dsmath.text.generator import Request, Sampling
from dsmath.text.template import with_program
from dsmath.train import loop
from dsmath.train import optimizer as optimizers
from dsmath.train import step as steps
from dsmath.train.health import Health
from tests.rollout.scripted import Says, ScriptedGenerator
from tests.suites import made_up
from tests.train.conftest import CONFIG, make_examples, make_tokenizer

Seen = Any
SILENT = rich.console.Console(file=io.StringIO())
SHORT = {"steps": 3, "checkpoint_every": 1, "keep_checkpoints": 2, "batch_rows": 2, "microbatches": 1, "clip_norm": 0.5}
SHORT |= {"eval_every": 2, "eval_problems": 1}
BASE = dataclasses.replace(
    CONFIG,
    start=config.Start(weights="random", tokenizer="tokenizer", template="reference"),
    train=dataclasses.replace(CONFIG.train, **SHORT),
    eval=dataclasses.replace(CONFIG.eval, suites=("gsm8k",), modes=("tool",), limit=2, rounds=3, max_new=24),
    annotate=config.Annotate(("embedded",), 10, "cot", "reference", 3, 2, None, False, 1.0, 1.0),
    sandbox=config.Sandbox(timeout_s=5.0, memory_mb=256, output_kb=64, workers=2),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with published data, two tokenizers and weights."""
    world = tmp_path_factory.mktemp("alive") / "world"
    world.mkdir()
    make_tokenizer().save(world / "tokenizer")
    tokenizers.train([templates.INSTRUCTIONS["en", "cot"]] * 8, vocab_size=300).save(world / "other_tokenizer")
    folder.save(world / "weights", first_params(), BASE.model, bos=None, eos=0, dtype="float32")
    for suite in ("gsm8k", "svamp"):
        made_up.write(world / "published", suite, made_up.rows(suite))
    (world / "published" / "gsm8k" / "train.jsonl").write_text(json.dumps(made_up.ROWS["gsm8k"]) + "\n")
    return world


@functools.cache
def first_params() -> decoder.Params:
    """Weights of the small architecture, on the host."""
    return jax.device_get(jax.jit(functools.partial(decoder.init, BASE.model))(jax.random.key(99)))


def prepared(settings: Config) -> Seen:
    """The training set that is written."""
    prepare(settings, Path("data"), Path("published"))
    found = sets.examples(Path("data"), settings)
    return [(found[i].id, found[i].question, found[i].mode) for i in range(len(found))]


def kept_apart(settings: Config) -> Seen:
    """The manifest."""
    return prepare(settings, Path("data"), Path("published"))


def trained(settings: Config) -> Seen:
    """Losses, checkpoints, and the compiled step's temporary memory."""
    memory = []
    compile_step = steps.compile_step

    def spy(*args: Any, **kwargs: Any) -> jax.stages.Compiled:
        compiled = compile_step(*args, **kwargs)
        memory.append(compiled.memory_analysis().temp_size_in_bytes)
        return compiled

    run = runs.Run("run")
    sums = [
        Example(f"{i}", "own", "en", "cot", f"Add {i}.", with_program("So.", f"print({i})", f"{i}", f"It is {i}."), "")
        for i in range(20)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "compile_step", spy)
        loop.fit(
            settings,
            run,
            params=lambda mesh: place(first_params(), decoder.axes(BASE.model), mesh, TRAINING),
            parts=(Part("own", [*make_examples(20), *sums], weight=None, epochs=1),),
            tokenizer=make_tokenizer(),
            template=templates.find("reference"),
            progress=False,
        )
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    losses = [(line["loss"], line["grad_norm"], line["learning_rate"], line["trained_tokens"]) for line in lines]
    kept = sorted(path.name for path in run.checkpoints.iterdir() if path.name.isdigit())
    return losses, kept, memory, run.profile.exists()


def fed(settings: Config) -> Seen:
    """How many processes make the rows, and how far they have come."""
    tokenise = Tokenise(make_tokenizer(), templates.find("reference"), loss_on_tool_output=False)
    parts = (Part("own", make_examples(20), weight=None, epochs=1),)
    with contextlib.closing(pipeline.batches(parts, tokenise, settings.data, rows=2, seed=0)) as rows:
        next(rows)
        return rows.get_state(), len(multiprocessing.active_children())


def leapt(settings: Config) -> Seen:
    """Whether a steady loss is taken for a leap."""
    health = Health(runs.Run("run"), start=0, leap=settings.train.leap)
    try:
        for step in range(1, 20):
            health.check({"step": step, "loss": 1.0, "grad_norm": 1.0})
    except UserError:
        return ["stopped"]
    return ["steady"]


def stepped(settings: Config) -> Seen:
    """Parameters after three steps of the optimizer."""
    optimizer = optimizers.make(settings.train, settings.model)
    params = jax.tree.map(lambda axes: jnp.ones(len(axes)), decoder.axes(settings.model), is_leaf=_is_axes)
    state = optimizer.init(params)
    for scale in (0.01, 1.0, -2.0):  # the first is not clipped
        updates, state = optimizer.update(jax.tree.map(lambda x, s=scale: x * s, params), state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return jax.tree.map(lambda x: x.tolist(), params)


def _is_axes(x: Any) -> bool:
    return isinstance(x, tuple)


def laid_out(settings: Config) -> Seen:
    """What a device holds of the state and of a batch."""
    mesh = make_mesh(settings.mesh)
    state = steps.abstract_state(settings.model, optimizers.make(settings.train, settings.model), mesh)
    shards = jax.tree.map(lambda x: x.sharding.shard_shape(x.shape), state)
    return jax.tree.leaves(shards, is_leaf=_is_axes), steps.batch_sharding(mesh).shard_shape((8, 8))


def batches(settings: Config) -> Seen:
    """In how many parts a step's rows are worked off."""
    train = dataclasses.replace(settings.train, microbatches=None, batch_rows=4)
    return steps.microbatch_count(train, make_mesh(settings.mesh))


def loaded(settings: Config) -> Seen:
    """What the engine answers to three requests, in how many dispatches, and the fingerprint of its weights."""
    wanted = subject.load(settings, runs.Run("run"), 0, subject.ways(settings))
    engine, greedy = wanted.generator, Sampling(0.0, 1.0, None, 0)
    prompt = wanted.way("", "cot").template.prompt("Add 1.", lang="en", mode="cot")
    for i in range(3):
        piece = engine.codec.encode(Source.PROMPT, (*prompt, f" {i}"))
        engine.submit(Request(str(i), (piece,), 200, (), greedy))
    answers, polls = {}, 0
    while not engine.idle:
        polls += 1
        answers |= {done.id: done.ids for done in engine.poll()}
    return answers, polls, wanted.name.rpartition("(")[2]


def pooled(settings: Config) -> Seen:
    """How many pages the engine's pool has, on a machine with room for four."""
    page = paged.page_bytes(paged.XLA, settings.model, paged.XLA.page_tokens, "float32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "_free", lambda device: 4 * page)
        return subject.load(settings, runs.Run("run"), 0, subject.ways(settings)).generator._scheduler.pages.count


def the_same() -> dict[str, list[Says]]:
    """A script that says always the same."""
    says = [Says(f"```python\nprint({i})\n```output", Stop.TEXT) for i in range(5)]
    return collections.defaultdict(lambda: [*says, Says("It is \\boxed{7}.", Stop.END)])


@contextlib.contextmanager
def scripted(script: Callable[[], dict[str, list[Says]]] = the_same) -> Iterator[list[ScriptedGenerator]]:
    """In place of each model that is loaded, one that speaks by a script."""
    loaded: list[ScriptedGenerator] = []

    def load(
        settings: Config, run: runs.Run, step: int | None, ways: Ways, trained: decoder.Params | None = None
    ) -> Subject:
        loaded.append(ScriptedGenerator({}))
        loaded[-1].script = script()
        return Subject(loaded[-1], ways, "scripted", step or 0, {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "load", load)
        yield loaded


def evaluated(settings: Config) -> Seen:
    """What a generator is asked, what is written, and what comes of it."""
    with scripted() as models:
        result = evaluate.evaluate(settings, runs.Run("run"), Path("published"), step=0, console=SILENT)
    for summary in result["summaries"]:
        del summary["cost"], summary["tools"], summary["settings"]
    written = sorted(str(path) for path in Path("run", "evals").rglob("*"))
    return sorted(map(repr, models[0].requests)), written, result["summaries"]


class Right(dict):
    """A script that solves every embedded problem, each sample in words of its own."""

    def __missing__(self, id: str) -> list[Says]:
        problems = (p for lang in generate.LANGUAGES for p in generate.generate("train", lang, 20, BASE.seed))
        golds = {problem.id: problem.answer for problem in problems}
        self[id] = [Says(f"Of {id}: \\boxed{{{golds.get(id.partition('#')[0], '1200')}}}.", Stop.END)]
        return self[id]


def annotated(settings: Config) -> Seen:
    """What a generator is asked of training problems, what is written, and what is kept."""
    run = runs.Run("run")
    prepare(settings, run.data, Path("published"))
    with scripted(Right) as models:
        result = annotate.annotate(settings, run, Path("published"), step=0, console=SILENT)
    kept = Path(result["annotated"]).read_text()
    return sorted(map(repr, models[0].requests)), {k: v for k, v in result.items() if k != "tokens"}, kept


def watched(settings: Config) -> Seen:
    """Of what, and after which steps, there are evaluations when a run has been trained."""
    run = runs.Run("run")
    prepare(settings, run.data, Path("published"))
    with scripted():
        train.train(settings, run, Path("published"), console=SILENT)
    return [(str(e.folder), len(e.trajectories.read_text().splitlines())) for e in run.evaluations()]


PROGRAMS = {
    "long": "import time\nwhile time.process_time() < 0.8: pass\nprint('done')",
    "large": "x = bytearray(100 << 20)\nprint('held')",
    "loud": "print('x' * 40_000)",
}
NAPS = "import time\nbegun = time.monotonic()\ntime.sleep(0.4)\nprint(begun, time.monotonic())"


def ran(settings: Config) -> Seen:
    """How programs end, and how many run at a time."""
    with Sandbox(settings.sandbox) as sandbox:
        ends = {name: sandbox.run(code) for name, code in PROGRAMS.items()}
        naps = [sandbox.submit(NAPS) for _ in range(3)]
        times = [tuple(map(float, nap.result().stdout.split())) for nap in naps]
    together = max(sum(begun <= t < ended for begun, ended in times) for t, _ in times)
    return {name: (end.exit, len(end.stdout)) for name, end in ends.items()}, together, sandbox.level["level"]


NUDGES: dict[str, tuple[Callable[[Config], Seen], Any]] = {
    "seed": (loaded, 4),
    "model.max_positions": (trained, 64),
    "start.weights": (loaded, "weights"),
    "start.tokenizer": (loaded, "other_tokenizer"),
    "start.template": (loaded, "chatml"),
    "mesh.data": (laid_out, 2),
    "mesh.fsdp": (laid_out, 2),
    "mesh.tensor": (laid_out, 2),
    "mesh.context": (laid_out, 2),
    "data.sources": (prepared, ("gsm8k",)),
    "data.modes": (prepared, ("tool",)),
    "data.embedded_problems": (prepared, 10),
    "data.parts": (prepared, {"embedded": config.Part(count=3)}),
    "data.decontaminate": (kept_apart, ("gsm8k",)),
    "data.near_duplicates": (kept_apart, 0.5),
    "data.paper": (kept_apart, 100),
    "data.row_length": (trained, 96),
    "data.packing_bins": (trained, 1),
    "data.packing": (trained, "cut"),
    "data.workers": (fed, 1),
    "train.steps": (trained, 4),
    "train.batch_rows": (trained, 4),
    "train.microbatches": (trained, 2),
    "train.learning_rate": (stepped, 0.02),
    "train.warmup_steps": (stepped, 0),
    "train.beta1": (stepped, 0.5),
    "train.beta2": (stepped, 0.5),
    "train.weight_decay": (stepped, 0.9),
    "train.clip_norm": (stepped, 1e-9),
    "train.remat": (trained, "full"),
    "train.moments_dtype": (stepped, "bfloat16"),
    "train.rows_per_device": (batches, 2),
    "train.loss_on_tool_output": (trained, True),
    "train.checkpoint_every": (trained, 3),
    "train.keep_checkpoints": (trained, 3),
    "train.keep_every": (trained, 1),
    "train.leap": (leapt, 0.5),
    "train.trace_step": (trained, 1),
    "train.eval_every": (watched, 1),
    "train.eval_problems": (watched, 2),
    "eval.suites": (evaluated, ("gsm8k", "svamp")),
    "eval.modes": (evaluated, ("cot",)),
    "eval.protocol": (evaluated, "strict"),
    "eval.samples": (evaluated, 2),
    "eval.limit": (evaluated, 1),
    "eval.slots": (loaded, 1),
    "eval.cache_length": (loaded, 96),
    "eval.decode_steps": (loaded, 1),
    "eval.pool_share": (pooled, 0.5),
    "eval.max_new": (evaluated, 25),
    "eval.rounds": (evaluated, 2),
    "eval.temperature": (evaluated, 0.5),
    "eval.top_p": (evaluated, 0.5),
    "eval.top_k": (evaluated, 5),
    "eval.grader": (evaluated, "strict"),
    "annotate.sources": (annotated, ("gsm8k",)),
    "annotate.embedded_problems": (annotated, 11),
    "annotate.mode": (annotated, "tool"),
    "annotate.protocol": (annotated, "strict"),
    "annotate.samples": (annotated, 4),
    "annotate.keep": (annotated, 1),
    "annotate.limit": (annotated, 5),
    "annotate.unsolved": (annotated, True),
    "annotate.temperature": (annotated, 0.5),
    "annotate.top_p": (annotated, 0.5),
    "sandbox.timeout_s": (ran, 0.6),
    "sandbox.memory_mb": (ran, 64),
    "sandbox.output_kb": (ran, 16),
    "sandbox.workers": (ran, 1),
    "sandbox.required_level": (ran, "L3"),
}
MAY_BE_REFUSED = {"model.max_positions", "start.template", "sandbox.required_level"}  # that is what these then do
ELSEWHERE = {f"model.{f.name}" for f in dataclasses.fields(config.Arch)} - {"model.max_positions"}


def observe(see: Callable[[Config], Seen], settings: Config, world: Path, name: str) -> Seen:
    """What is seen from a working folder of its own; a refusal is seen as well."""
    with contextlib.chdir(shutil.copytree(world, world.with_name(name))):
        try:
            return see(settings)
        except UserError as e:
            return str(e)


@pytest.fixture(scope="module")
def base(world) -> Callable[[Callable[[Config], Seen]], Seen]:
    """What is seen of the base, once for each way of seeing."""
    return functools.cache(lambda see: observe(see, BASE, world, f"base-{see.__name__}"))


@pytest.mark.parametrize("field", sorted(runs.flatten(dataclasses.asdict(BASE)).keys() - ELSEWHERE))
def test_every_field_is_alive(field, world, base):
    see, value = NUDGES[field]
    *section, name = field.split(".")
    part = dataclasses.replace(getattr(BASE, section[0]), **{name: value}) if section else value
    nudged = dataclasses.replace(BASE, **{section[0] if section else name: part})
    assert not isinstance(base(see), str), base(see)
    now = observe(see, nudged, world, field)
    assert not isinstance(now, str) or field in MAY_BE_REFUSED, now
    assert now != base(see)


@pytest.mark.parametrize("see", sorted({see for see, _ in NUDGES.values()}, key=lambda see: see.__name__))
def test_what_is_seen_twice_is_the_same(see, world, base):
    """Else every nudge would seem to change something."""
    assert observe(see, BASE, world, f"again-{see.__name__}") == base(see)
