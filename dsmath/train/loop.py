"""The training loop: compile, restore or start, then step, record, save."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import optax

from dsmath import config, runs, runtime
from dsmath.config import Arch, need
from dsmath.data.feed import pipeline
from dsmath.data.feed.pipeline import Part
from dsmath.data.feed.tokenise import Tokenise
from dsmath.error import Preempted
from dsmath.model import decoder, remat
from dsmath.sharding import make_mesh
from dsmath.text.template import Template
from dsmath.text.tokenizer import Tokenizer
from dsmath.train import optimizer as optimizers
from dsmath.train import step as steps
from dsmath.train.checkpoints import Checkpoints, wait_for_all
from dsmath.train.health import Health
from dsmath.train.metrics import Recorder
from dsmath.train.progress import Progress
from dsmath.train.trace import Trace

log = logging.getLogger(__name__)

Evaluate = Callable[[int, decoder.Params], dict[str, float]]  # a step and its parameters -> values by name, for curves


def fit(
    settings: config.Config,
    run: runs.Run,
    *,
    params: Callable[[jax.sharding.Mesh], decoder.Params],
    parts: Sequence[Part],
    tokenizer: Tokenizer,
    template: Template,
    progress: bool,
    evaluate: Evaluate | None = None,
) -> dict[str, float]:
    """Train until `settings.train.steps` and return the last step's metrics.

    Goes on from the last checkpoint of `run`, if there is one; only else are the first `params` asked for (f32, placed
    on the mesh by TRAINING). It may be killed at any moment. Every process of a program calls it; `evaluate` is called
    every `eval_every` steps.

    Raises Preempted after SIGTERM to any process, with the step saved, and where another process is gone; UserError
    for what a user can mend, and where the loss leaps or isn't finite.
    """
    train, data, arch = need(settings.train, "train"), need(settings.data, "data"), need(settings.model, "model")
    mesh = make_mesh(settings.mesh)
    optimizer = optimizers.make(train, arch)
    tokenise = Tokenise(tokenizer, template, loss_on_tool_output=train.loss_on_tool_output)
    shape = (train.batch_rows, data.row_length)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_peers())
        if runtime.is_first():
            stack.enter_context(run.lock())  # else two would remove each other's unfinished checkpoints
            runs.begin(run, settings)
        wait_for_all("begin")
        checkpoints = stack.enter_context(Checkpoints(run, keep=train.keep_checkpoints, keep_every=train.keep_every))
        start = checkpoints.latest() or 0
        _save_tokenizer(tokenizer, run.tokenizer)
        health = Health(run, start=start, leap=train.leap)
        recorder = stack.enter_context(
            Recorder(run, start=start, arch=arch, shape=shape, rate=optimizers.schedule(train))
        )
        if start >= train.steps:
            log.info("%s has %d of %d steps: nothing to do", run.workdir, start, train.steps)
            return recorder.last
        run_step = _compiled(mesh, arch, optimizer, shape, train)
        rows = stack.enter_context(
            contextlib.closing(pipeline.batches(parts, tokenise, data, rows=train.batch_rows, seed=settings.seed))
        )
        if start:
            log.info("going on from step %d of %s", start, run.workdir)
            state = checkpoints.restore(start, steps.abstract_state(arch, optimizer, mesh), rows)
        else:
            state = _first_state(arch, mesh, optimizer, params)
        stopped = stack.enter_context(_preemption(checkpoints))
        trace = stack.enter_context(Trace(run, train.trace_step))
        shown = stack.enter_context(Progress(train.steps, start=start, shown=progress and runtime.is_first()))

        def look(record: dict[str, float] | None) -> None:
            if record is not None:
                shown.show(record)
                health.check(record)

        wait_for_all("train")
        for step in range(start + 1, train.steps + 1):
            batch = next(rows)
            health.trains_on(step, batch)
            trace.before(step)
            state, metrics = run_step(state, steps.placed(batch, mesh))
            trace.after(step, metrics)
            look(recorder.step(step, metrics))
            stop = stopped(step)
            evaluated = evaluate is not None and train.eval_every is not None and step % train.eval_every == 0
            if step % train.checkpoint_every == 0 or step == train.steps or stop or evaluated:
                look(recorder.flush())  # first, so that no checkpoint lacks its metrics, or holds what a bad batch did
                checkpoints.save(step, state, rows)
            if stop:
                raise Preempted(f"stopped by SIGTERM after step {step}, saved; the same command goes on from there")
            if evaluated and evaluate is not None:
                recorder.curves(step, evaluate(step, state.params))
    if rows.tally.dropped_examples:
        log.warning(
            "dropped %d of the %d examples that were read, longer than config.data.row_length = %d tokens",
            rows.tally.dropped_examples,
            rows.tally.examples,
            data.row_length,
        )
    return recorder.last


def _compiled(
    mesh: jax.sharding.Mesh,
    arch: Arch,
    optimizer: optax.GradientTransformation,
    shape: tuple[int, int],
    train: config.Train,
) -> jax.stages.Compiled:
    log.info("compiling the training step for %d devices", mesh.size)
    run_step = steps.compile_step(
        mesh,
        arch=arch,
        optimizer=optimizer,
        shape=shape,
        microbatches=steps.microbatch_count(train, mesh),
        keep=remat.find(train.remat),
    )
    _log_memory(run_step)
    return run_step


def _first_state(
    arch: Arch,
    mesh: jax.sharding.Mesh,
    optimizer: optax.GradientTransformation,
    params: Callable[[jax.sharding.Mesh], decoder.Params],
) -> steps.TrainState:
    abstract = steps.abstract_state(arch, optimizer, mesh)
    out_shardings = jax.tree.map(lambda x: x.sharding, abstract)
    return jax.jit(lambda p: steps.new_state(p, optimizer), out_shardings=out_shardings, donate_argnums=0)(params(mesh))


def _save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Once, and whole or not at all: a run that goes on reads it from there."""
    if not runtime.is_first() or runs.is_whole(folder):
        return
    with runs.whole_folder(folder) as temporary:
        tokenizer.save(temporary)


def _log_memory(compiled: jax.stages.Compiled) -> None:
    memory = compiled.memory_analysis()
    if memory is None:  # a backend that doesn't say
        return
    log.info(
        "memory per device: %.2f GiB of state and batch, %.2f GiB of temporaries",
        memory.argument_size_in_bytes / 2**30,
        memory.temp_size_in_bytes / 2**30,
    )


@contextlib.contextmanager
def _preemption(checkpoints: Checkpoints) -> Iterator[Callable[[int], bool]]:
    """Whether to stop after a step, because SIGTERM came: to this process, or, where there are several, to any."""
    if jax.process_count() > 1:
        yield checkpoints.reached_preemption
        return
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield lambda step: False
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.set())
    try:
        yield lambda step: came.is_set()
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _peers() -> Iterator[None]:
    """What fails because another process is gone, as Preempted. Alone, an error of the runtime is what it is."""
    try:
        yield
    except jax.errors.JaxRuntimeError as e:
        if jax.process_count() == 1 or "RESOURCE_EXHAUSTED" in str(e):
            raise
        reason = str(e).splitlines()[0][:200]
        raise Preempted(
            f"another of the {jax.process_count()} processes is gone ({reason}); the same command, on all of them, "
            "goes on from the last checkpoint"
        ) from e
