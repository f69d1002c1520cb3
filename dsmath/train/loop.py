"""The training loop: compile, restore or start, then step, record, save."""

import contextlib
import logging
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import rich.console
import rich.progress

from dsmath.config import Config
from dsmath.data import pipeline
from dsmath.error import UserError
from dsmath.model import decoder
from dsmath.records import Example
from dsmath.sharding import make_mesh, place
from dsmath.text.template import Template
from dsmath.text.tokenizer import Tokenizer
from dsmath.train import optimizer as optimizers
from dsmath.train import step as steps
from dsmath.train.checkpoints import Checkpoints
from dsmath.train.metrics import Recorder

log = logging.getLogger(__name__)


def fit(
    config: Config,
    workdir: Path,
    *,
    params: Callable[[], decoder.Params],
    source: Sequence[Example],
    tokenizer: Tokenizer,
    template: Template,
    progress: bool,
) -> dict[str, float]:
    """Train until `config.train.steps` and return the last step's metrics.

    Goes on from the last checkpoint in `workdir`, if there is one; only else are the first `params` asked for. It may
    be killed at any moment; SIGTERM makes it save and return early (then "step" is short of the config's).
    """
    workdir, train = Path(workdir), config.train
    mesh = make_mesh(config.mesh)
    optimizer = optimizers.make(train, config.model)
    rows, tokenise = _rows(config, mesh, source, tokenizer, template)
    with contextlib.ExitStack() as stack:
        checkpoints = stack.enter_context(Checkpoints(workdir, keep=train.keep_checkpoints))
        start = checkpoints.latest() or 0
        if start:
            checkpoints.check(start, config)
        _save_tokenizer(tokenizer, workdir / "tokenizer")
        shape = (train.batch_rows, config.data.row_length)
        rate = optimizers.schedule(train)
        recorder = stack.enter_context(Recorder(workdir, start=start, arch=config.model, shape=shape, rate=rate))
        if start >= train.steps:
            log.info("%s has %d of %d steps: nothing to do", workdir, start, train.steps)
            return recorder.last
        log.info("compiling the training step for %d devices", mesh.size)
        run_step = steps.compile_step(
            mesh,
            arch=config.model,
            optimizer=optimizer,
            shape=shape,
            microbatches=train.microbatches,
            remat=train.remat,
        )
        _log_memory(run_step)
        if start:
            log.info("going on from step %d of %s", start, workdir)
            state = checkpoints.restore(start, steps.abstract_state(config.model, optimizer, mesh), rows)
        else:
            state = _first_state(config, mesh, optimizer, params)
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
                checkpoints.save(step, state, rows, config)
            if stop:
                log.warning("stopped by SIGTERM after step %d, saved; the same command goes on from there", step)
                break
    if tokenise.dropped:
        log.warning(
            "dropped %d of %d examples, longer than config.data.row_length = %d tokens",
            len(tokenise.dropped),
            len(source),
            config.data.row_length,
        )
    return recorder.last


def _rows(config: Config, mesh, source, tokenizer, template) -> tuple[pipeline.Rows, pipeline.Tokenise]:
    processes = jax.process_count()
    if config.train.batch_rows % processes or (mesh.shape["data"] * mesh.shape["fsdp"]) % processes:
        raise UserError(
            f"config.train.batch_rows = {config.train.batch_rows} and the devices along data and fsdp, "
            f"{mesh.shape['data'] * mesh.shape['fsdp']}, must be multiples of the {processes} processes"
        )
    tokenise = pipeline.Tokenise(
        tokenizer,
        template,
        row_length=config.data.row_length,
        loss_on_tool_output=config.train.loss_on_tool_output,
    )
    rows = pipeline.batches(
        source,
        tokenise,
        rows=config.train.batch_rows // processes,
        row_length=config.data.row_length,
        packing_bins=config.data.packing_bins,
        seed=config.seed,
        process=(jax.process_index(), processes),
    )
    return rows, tokenise


def _first_state(config: Config, mesh, optimizer, params: Callable[[], decoder.Params]) -> steps.TrainState:
    placed = place(decoder.cast(params(), jnp.float32), decoder.axes(config.model), mesh)
    abstract = steps.abstract_state(config.model, optimizer, mesh)
    out_shardings = jax.tree.map(lambda x: x.sharding, abstract)
    return jax.jit(lambda p: steps.new_state(p, optimizer), out_shardings=out_shardings, donate_argnums=0)(placed)


def _save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Once, and whole or not at all: a run that goes on reads it from there."""
    if jax.process_index() or folder.exists():
        return
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    tokenizer.save(temporary)
    temporary.rename(folder)


def _log_memory(compiled: jax.stages.Compiled) -> None:
    memory = compiled.memory_analysis()
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
