"""The training loop: compile, restore or start, then step, record, save."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import optax
import rich.console
import rich.progress

from dsmath import config, runs, runtime
from dsmath.config import Arch, need
from dsmath.data import pipeline
from dsmath.data.pipeline import Examples
from dsmath.error import UserError
from dsmath.model import decoder, remat
from dsmath.sharding import make_mesh
from dsmath.text.template import Template
from dsmath.text.tokenizer import Tokenizer
from dsmath.train import optimizer as optimizers
from dsmath.train import step as steps
from dsmath.train.checkpoints import Checkpoints
from dsmath.train.metrics import Recorder

log = logging.getLogger(__name__)


def fit(
    settings: config.Config,
    run: runs.Run,
    *,
    params: Callable[[jax.sharding.Mesh], decoder.Params],
    source: Examples,
    tokenizer: Tokenizer,
    template: Template,
    progress: bool,
) -> dict[str, float]:
    """Train until `settings.train.steps` and return the last step's metrics.

    Goes on from the last checkpoint of `run`, if there is one; only else are the first `params` asked for (f32, placed
    on the mesh by TRAINING). It may be killed at any moment; SIGTERM makes it save and return early (then "step" is
    short of the settings').
    """
    train, data, arch = need(settings.train, "train"), need(settings.data, "data"), need(settings.model, "model")
    mesh = make_mesh(settings.mesh)
    optimizer = optimizers.make(train, arch)
    rows, tokenise = _rows(settings.seed, data, train, mesh, source, tokenizer, template)
    with contextlib.ExitStack() as stack:
        if runtime.is_first():
            stack.enter_context(run.lock())  # else two would remove each other's unfinished checkpoints
            runs.begin(run, settings)
        checkpoints = stack.enter_context(Checkpoints(run, keep=train.keep_checkpoints))
        start = checkpoints.latest() or 0
        if start:
            checkpoints.check(start)
        _save_tokenizer(tokenizer, run.tokenizer)
        shape = (train.batch_rows, data.row_length)
        rate = optimizers.schedule(train)
        recorder = stack.enter_context(Recorder(run, start=start, arch=arch, shape=shape, rate=rate))
        if start >= train.steps:
            log.info("%s has %d of %d steps: nothing to do", run.workdir, start, train.steps)
            return recorder.last
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
        if start:
            log.info("going on from step %d of %s", start, run.workdir)
            state = checkpoints.restore(start, steps.abstract_state(arch, optimizer, mesh), rows)
        else:
            state = _first_state(arch, mesh, optimizer, params)
        stopped = stack.enter_context(_preemption(checkpoints))
        bar = stack.enter_context(_bar(progress))
        task = bar.add_task("train", total=train.steps, completed=start)
        sharding = steps.batch_sharding(mesh)
        for step in range(start + 1, train.steps + 1):
            batch = {k: jax.make_array_from_process_local_data(sharding, v) for k, v in next(rows).items()}
            state, metrics = run_step(state, batch)
            recorder.step(step, metrics)
            bar.update(task, completed=step, description=_describe(recorder.last))
            stop = stopped(step)
            if step % train.checkpoint_every == 0 or step == train.steps or stop:
                recorder.flush()  # first, so that no checkpoint lacks its metrics
                checkpoints.save(step, state, rows)
            if stop:
                log.warning("stopped by SIGTERM after step %d, saved; the same command goes on from there", step)
                break
    if tokenise.dropped:
        log.warning(
            "dropped %d of %d examples, longer than config.data.row_length = %d tokens",
            len(tokenise.dropped),
            len(source),
            data.row_length,
        )
    return recorder.last


def _rows(
    seed: int,
    data: config.Data,
    train: config.Train,
    mesh: jax.sharding.Mesh,
    source: Examples,
    tokenizer: Tokenizer,
    template: Template,
) -> tuple[pipeline.Rows, pipeline.Tokenise]:
    index, processes = runtime.process()
    parts = mesh.shape["data"] * mesh.shape["fsdp"]
    if train.batch_rows % processes or parts % processes:
        raise UserError(
            f"config.train.batch_rows = {train.batch_rows} and the devices along data and fsdp, {parts}, must be "
            f"multiples of the {processes} processes"
        )
    tokenise = pipeline.Tokenise(
        tokenizer, template, row_length=data.row_length, loss_on_tool_output=train.loss_on_tool_output
    )
    rows = pipeline.batches(
        source,
        tokenise,
        rows=train.batch_rows // processes,
        row_length=data.row_length,
        packing_bins=data.packing_bins,
        seed=seed,
        process=(index, processes),
    )
    return rows, tokenise


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
    if not runtime.is_first() or folder.exists():
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


def _bar(progress: bool) -> rich.progress.Progress:
    return rich.progress.Progress(
        *rich.progress.Progress.get_default_columns(),
        rich.progress.MofNCompleteColumn(),
        console=rich.console.Console(stderr=True),
        disable=not progress,
    )


def _describe(last: dict[str, float]) -> str:
    if not last:
        return "train"
    return f"train  loss {last['loss']:.3f}  {last['trained_tokens_per_second']:,.0f} trained tokens/s"
