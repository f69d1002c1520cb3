"""What the training step of an experiment takes on slices that aren't there: memory, traffic, time at best.

XLA's TPU compiler compiles the very step for each topology (pip install -e '.[plan]'); no TPU is needed or looked for.
A topology is a slice by its shape, such as v5e:4x4, v5p:2x2x4 or v6e:4x4, or `local`: the devices of this machine.
Two steps are shown: with the rows a chip that the config says, and with the most that fit.

With --decode, it is the program that an evaluation decodes with: the pool of keys and values beside the weights, and
how many sequences it holds.

Examples:
  dsmath plan --config configs/sft_7b.py --topology v5e:4x4
  dsmath plan --config configs/sft_7b.py --topology v5e:4x8,v5p:2x2x4 --config.train.remat=offload --markdown
  dsmath plan --config configs/sft_7b.py --topology v5e:2x4 --decode --config.eval.slots=256
"""

import dataclasses
import os
import sys
from collections.abc import Callable
from typing import Any

import rich.console
from absl import flags

from dsmath.cli import experiment
from dsmath.config import need
from dsmath.error import UserError
from dsmath.report.sheet import Sheet

GIB = 2**30


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define_config(values)
    flags.DEFINE_list("topology", None, "slices such as v5e:4x4, or local; several with commas between", values)
    flags.DEFINE_bool("decode", False, "what an evaluation's decoding takes, instead of a training step", values)
    flags.DEFINE_bool("markdown", False, "print the table as Markdown", values)


def run(values: flags.FlagValues) -> list[dict[str, Any]]:
    """Compile for each topology, and return what was found."""
    settings = experiment.settings(values)
    if not values.topology:
        raise UserError("--topology is missing; expected slices such as --topology v5e:4x4, or local")
    if "local" not in values.topology:
        os.environ["JAX_PLATFORMS"] = "cpu"  # nothing runs, so no device needs to start
    from dsmath.model import weights
    from dsmath.plan.plan import plan

    if settings.model is None:
        settings = dataclasses.replace(settings, model=weights.arch_of(need(settings.start, "start").weights, None))
    console = rich.console.Console(file=sys.stderr if values.json else sys.stdout)
    if values.decode:
        from dsmath.plan import decoding

        found = [decoding.plan(settings, name) for name in values.topology]
        _show(_decoding(found), console, markdown=values.markdown)
        return found
    plans = [plan(settings, name) for name in values.topology]
    sheets = [sheet for found in plans for sheet in (_costs(found), _arrays(found))]
    for sheet in [_summary(plans)] if values.markdown else sheets:
        _show(sheet, console, markdown=values.markdown)
    return plans


def _show(sheet: Sheet, console: rich.console.Console, *, markdown: bool) -> None:
    if markdown:
        console.print(sheet.markdown(), end="", soft_wrap=True, highlight=False, markup=False)
    else:
        console.print(sheet.terminal())


def _decoding(plans: list[dict[str, Any]]) -> Sheet:
    """A line for the decoding of each topology."""
    header = ("Topology", "Chips", "Weights", "Peak", "of GiB", "Fits", "Tokens", "Seqs", "Copies", "ms", "Hours")
    cells = [
        (
            plan["topology"],
            str(plan["chips"]),
            *(_gib(plan[name]) for name in ("weight_bytes", "peak_bytes", "hbm_bytes")),
            "yes" if plan["fits"] else "no",
            *(f"{plan[name]:,}" for name in ("pool_tokens", "sequences")),
            "-" if plan["whole_cache_copies"] is None else str(plan["whole_cache_copies"]),
            _short(plan["step_s_floor"] and 1000 * plan["step_s_floor"]),
            _short(plan["hours"]),
        )
        for plan in plans
    ]
    by = " and ".join(sorted({plan["compiler"] for plan in plans}))
    refusals = "".join(f" {plan['topology']}: {plan['refusal']}." for plan in plans if plan["refusal"])
    note = (
        f"By {by}; nothing was run. GiB of a chip. Tokens: of the pool; sequences of 768, at most config.eval.slots. "
        "Copies: of a whole layer's pages. Milliseconds of a step at best, where weights and live keys and values are "
        f"read once; hours of the four benchmarks in both modes at that.{refusals}"
    )
    return Sheet("What decoding takes", header, cells, note)


def _compiled(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of a topology: with the rows a chip that the config says, and with the most that fit, if others do."""
    most = plan["most"]
    return [plan] if most is None or most["rows_per_chip"] == plan["rows_per_chip"] else [plan, most]


def _costs(plan: dict[str, Any]) -> Sheet:
    """What the steps of a topology take, side by side."""
    steps = _compiled(plan)
    kinds = sorted({kind for cost in steps for kind in cost["collectives"] or ()})

    def line(what: str, show: Callable[[Any], str], *names: str) -> tuple[str, ...]:
        return (what, *("-" if cost[names[0]] is None else ", ".join(show(cost[n]) for n in names) for cost in steps))

    lines = [
        line("microbatches", str, "microbatches"),
        line("arguments, GiB a chip", _gib, "argument_bytes"),
        line("peak with arguments, GiB a chip", _gib, "peak_bytes"),
        ("memory of a chip, GiB", *(_gib(plan["hbm_bytes"]) for _ in steps)),
        ("fits", *("yes" if cost["fits"] else "no" for cost in steps)),
        line("offloaded to the host, GiB a chip", _gib, "host_bytes"),
        *((f"{kind}: times, GiB", *(_times(cost, kind) for cost in steps)) for kind in kinds),
        line("collectives, GiB a chip and step", _gib, "collective_bytes"),
        (
            "FLOP a step, and done over",
            *(f"{plan['flops_per_step']:.3g}, {plan['recomputed_flops_per_step']:.3g}",) * len(steps),
        ),
        line("compute, s a step at best", _short, "compute_s"),
        line("memory, s", _short, "memory_s"),
        line("interconnect, s", _short, "interconnect_s"),
        line("step at best, s: overlapped, serial", _short, "step_s_roofline", "step_s_serial"),
        line(f"hours of {plan['steps']} steps", _short, "hours", "hours_serial"),
    ]
    header = (f"{plan['chips']} chips", *(f"{cost['rows_per_chip']} rows a chip" for cost in steps))
    title = f"{plan['topology']}: {plan['rows']} rows of {plan['row_length']:,} tokens a step, remat {plan['remat']}"
    note = f"By {plan['compiler']}; nothing was run." + (
        f" It does not fit: {plan['refusal']}" if plan["refusal"] else ""
    )
    return Sheet(title, header, lines, note)


def _arrays(plan: dict[str, Any]) -> Sheet:
    """The largest arrays of the step with the most rows."""
    cost = _compiled(plan)[-1]
    cells = [(_gib(made["bytes"]), made["array"], _where(made["made_by"])) for made in cost["largest"] or ()]
    return Sheet(f"Largest arrays written, {cost['rows_per_chip']} rows a chip", ("GiB", "Array", "By"), cells)


def _summary(plans: list[dict[str, Any]]) -> Sheet:
    """A line for each compiled step of all topologies."""
    header = (
        *("Topology", "Chips", "Rows a chip", "Microbatches", "Arguments GiB", "Peak GiB", "of GiB", "Fits"),
        *("Collectives GiB", "Compute s", "Memory s", "Interconnect s", "Hours"),
    )
    cells = [
        (
            plan["topology"],
            *(str(number) for number in (plan["chips"], cost["rows_per_chip"], cost["microbatches"])),
            *(_gib(size) for size in (cost["argument_bytes"], cost["peak_bytes"], plan["hbm_bytes"])),
            "yes" if cost["fits"] else "no",
            _gib(cost["collective_bytes"], digits=1),
            *(_short(cost[name]) for name in ("compute_s", "memory_s", "interconnect_s")),
            f"{_short(cost['hours'])} to {_short(cost['hours_serial'])}" if cost["hours"] is not None else "-",
        )
        for plan in plans
        for cost in _compiled(plan)
    ]
    one = plans[0]
    by = " and ".join(sorted({plan["compiler"] for plan in plans}))
    note = (
        f"By {by}: {one['rows']} rows of {one['row_length']:,} tokens a step, {one['flops_per_step']:.3g} FLOP and "
        f"{one['recomputed_flops_per_step']:.3g} done over (remat {one['remat']}); hours of {one['steps']} steps, from "
        "all overlapped to nothing overlapped. Nothing was run."
    )
    return Sheet("What a training step takes", header, cells, note)


def _times(cost: dict[str, Any], kind: str) -> str:
    found = (cost["collectives"] or {}).get(kind)
    return "-" if found is None else f"{found['count']:,}, {_gib(found['bytes'])}"


def _where(made_by: str) -> str:
    """The last words of jax's name for an operation."""
    return "/".join(made_by.split("/")[-2:])


def _gib(size: float | None, digits: int = 2) -> str:
    return "-" if size is None else f"{size / GIB:,.{digits}f}"


def _short(number: float | None) -> str:
    return "-" if number is None else f"{number:.2g}" if number < 10 else f"{number:.1f}"
