"""The training step of an experiment, compiled for devices that needn't be there: what it takes, and its time at best.

Nothing is computed twice here: the step is `dsmath.train.step.compile_step`, as `dsmath train` compiles it.
"""

import dataclasses
import logging
import math
import re
import time
from collections.abc import Callable
from typing import Any

import jax

from dsmath import chips
from dsmath.config import Arch, Config, Train, need
from dsmath.error import UserError
from dsmath.model import remat
from dsmath.plan import hlo, topology, traffic
from dsmath.plan.roofline import flops, roofline
from dsmath.sharding import make_mesh
from dsmath.train import optimizer as optimizers
from dsmath.train import step as steps

log = logging.getLogger(__name__)

BUFFERS = 8  # of the largest ones, which are listed


@dataclasses.dataclass(frozen=True)
class Cost:
    """A compiled step; bytes are of one chip. What only a program has is None where none was made, as it didn't fit."""

    rows_per_chip: int  # that it works on at a time
    microbatches: int
    fits: bool
    argument_bytes: int  # parameters, moments, batch
    peak_bytes: int | None  # arguments included
    refusal: str | None  # the compiler's words, where it doesn't fit
    host_bytes: int | None  # of the host's memory, for what is offloaded
    collectives: dict[str, dict[str, int]] | None  # by kind: count and bytes, as dsmath/plan/traffic.py counts them
    collective_bytes: int | None
    sent_bytes: float | None
    moved_bytes: float | None  # read from and written to the chip's memory
    largest: list[dict[str, Any]] | None  # arrays that the program writes: type and shape, bytes, where they are made
    unread_loops: list[str] | None  # whose length can't be read: they count as running once
    compute_s: float | None  # roofline, by part; None for a chip that dsmath/chips.py lacks
    memory_s: float | None
    interconnect_s: float | None
    step_s_roofline: float | None  # the longest of the three
    step_s_serial: float | None  # their sum
    hours: float | None  # of all steps of the config, at the roofline
    hours_serial: float | None
    compile_s: float


def plan(settings: Config, name: str, *, search: bool = True) -> dict[str, Any]:
    """What the training step of an experiment takes on a topology (dsmath/plan/topology.py), ready for JSON.

    That is the `Cost` of the step as the config says it, and under "most" that with the most rows a chip that fit, None
    where not even one does, or without `search`. Raises UserError for a config or a topology that can't be compiled.
    """
    arch, data, train = need(settings.model, "model"), need(settings.data, "data"), need(settings.train, "train")
    devices = topology.devices(name)
    mesh = make_mesh(settings.mesh, devices)
    if name != topology.LOCAL and mesh.size != len(devices):
        raise UserError(f"config.mesh takes {mesh.size} of the {len(devices)} chips of {name}; let one axis be -1")
    shape = (train.batch_rows, data.row_length)
    once, again = flops(arch, shape, train.remat)
    hbm_bytes = topology.memory(devices[0], len(devices))

    def cost(train: Train) -> Cost:
        return _cost(mesh, arch, train, shape, name=name, hbm_bytes=hbm_bytes, total_flops=once + again)

    first = cost(train)
    most = most_rows(first, train, shape[0] // steps.row_shards(mesh), cost) if search else None
    return {
        "topology": name,
        "chips": mesh.size,
        "device_kind": devices[0].device_kind,
        "compiler": topology.compiler(name),
        "mesh": dict(mesh.shape),
        "remat": train.remat,
        "rows": shape[0],
        "row_length": shape[1],
        "steps": train.steps,
        "hbm_bytes": hbm_bytes,
        "flops_per_step": once,
        "recomputed_flops_per_step": again,
        **dataclasses.asdict(first),
        "most": most and dataclasses.asdict(most),
    }


def most_rows(first: Cost, train: Train, rows: int, cost: Callable[[Train], Cost]) -> Cost | None:
    """The cost with the most rows a chip that fit, of the numbers that divide `rows`: tried from above, as a program
    that is far too large is refused in seconds, while one that fits takes most of a minute to compile.
    """
    for size in range(rows, 0, -1):
        if size == first.rows_per_chip and first.fits:
            return first
        if rows % size == 0 and (first.fits or size < first.rows_per_chip):
            tried = cost(dataclasses.replace(train, microbatches=None, rows_per_device=size))
            if tried.fits:
                return tried
    return None


def _cost(
    mesh: jax.sharding.Mesh,
    arch: Arch,
    train: Train,
    shape: tuple[int, int],
    *,
    name: str,
    hbm_bytes: int,
    total_flops: float,
) -> Cost:
    microbatches = steps.microbatch_count(train, mesh)
    rows = shape[0] // steps.row_shards(mesh) // microbatches
    optimizer = optimizers.make(train, arch)
    log.info("compiling for %s: %d rows a chip, %d microbatches", name, rows, microbatches)
    begun = time.perf_counter()
    try:
        compiled = steps.compile_step(
            mesh,
            arch=arch,
            optimizer=optimizer,
            shape=shape,
            microbatches=microbatches,
            keep=remat.find(train.remat),
        )
    except jax.errors.JaxRuntimeError as e:
        if not is_out_of_memory(e):
            raise
        arguments = _shard_bytes(steps.abstract_state(arch, optimizer, mesh))
        return _refused(rows, microbatches, arguments, str(e).splitlines()[0], time.perf_counter() - begun)
    compile_s = time.perf_counter() - begun
    memory = compiled.memory_analysis()
    text = compiled.as_text()
    assert memory is not None  # a backend may have neither, but those of CPU, GPU and TPU do
    assert text is not None
    peak = peak_bytes(memory, mesh.devices.flat[0].platform)
    program = hlo.parse(text)
    moved = traffic.moved(program)
    chip = chips.of_kind(mesh.devices.flat[0].device_kind)
    at_best = chip and roofline(chip, mesh.size, total_flops=total_flops, hbm_bytes=moved.hbm, sent_bytes=moved.sent)
    return Cost(
        rows_per_chip=rows,
        microbatches=microbatches,
        fits=peak <= hbm_bytes,
        argument_bytes=memory.argument_size_in_bytes,
        peak_bytes=peak,
        refusal=None,
        host_bytes=memory.host_temp_size_in_bytes,
        collectives={kind: {"count": n, "bytes": moved.bytes[kind]} for kind, n in sorted(moved.count.items())},
        collective_bytes=moved.bytes.total(),
        sent_bytes=moved.sent,
        moved_bytes=moved.hbm,
        largest=[
            {"array": str(array), "bytes": array.bytes, "made_by": made_by}
            for array, made_by in traffic.largest(program, BUFFERS)
        ],
        unread_loops=moved.unread_loops,
        compute_s=at_best and at_best.compute_s,
        memory_s=at_best and at_best.memory_s,
        interconnect_s=at_best and at_best.interconnect_s,
        step_s_roofline=at_best and at_best.step_s,
        step_s_serial=at_best and at_best.serial_s,
        hours=at_best and at_best.step_s * train.steps / 3600,
        hours_serial=at_best and at_best.serial_s * train.steps / 3600,
        compile_s=compile_s,
    )


def peak_bytes(memory: Any, platform: str) -> int:
    """What a compiled program takes at most, by its `memory_analysis`."""
    if platform == "cpu":  # whose compiler leaves out what is temporary
        return memory.argument_size_in_bytes + memory.temp_size_in_bytes
    return memory.peak_memory_in_bytes


def is_out_of_memory(error: jax.errors.JaxRuntimeError) -> bool:
    """Whether the compiler found a program too large for the chip's main memory, which is an answer, not a failure.

    What is too large for the smaller memories within a chip fails with the same code, and is a failure.
    """
    return "RESOURCE_EXHAUSTED" in str(error) and re.search(r"\bhbm\b", str(error), re.IGNORECASE) is not None


def _refused(rows: int, microbatches: int, arguments: int, refusal: str, compile_s: float) -> Cost:
    unknown = {field.name: None for field in dataclasses.fields(Cost)}
    known = {"rows_per_chip": rows, "microbatches": microbatches, "fits": False, "argument_bytes": arguments}
    return Cost(**unknown | known | {"refusal": refusal, "compile_s": compile_s})  # type: ignore[arg-type]


def _shard_bytes(state: steps.TrainState) -> int:
    """What a chip holds of the state."""
    return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(state))
