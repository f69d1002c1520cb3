"""Sample solutions, run their programs, and score them: of a run's checkpoint, or of any HF folder of weights.

An evaluation lies in WORKDIR/evals/STEP/SUITE-MODE (SUITE-MODE-PROTOCOL, unless the protocol is `reference`). The model
is the one that the run was trained with; --config may change what is evaluated and how. Killed, the same command goes
on where it was, on as many processes or any other number.

The same command on every host shares out the problems. WORKDIR is a folder that all of them see, config.mesh is that of
the devices of one: copies of the weights along `data`, each split over all the rest. The first process waits for what
the others were given, scores, and ends with the result.

Examples:
  dsmath evaluate --workdir runs/demo --limit 50
  dsmath evaluate --config configs/sft_7b.py --workdir WORKDIR --data_dir DATA --step 0
  dsmath evaluate --weights FOLDER --suites gsm8k,math --modes cot,tool --limit 100
  dsmath evaluate --system wizardmath-7b-v1.1 --weights FOLDER --suites gsm8k,math --modes cot
  dsmath evaluate --system qwen-72b --weights FOLDER --examples EXAMPLES --suites gsm8k --modes cot
  dsmath evaluate --server http://localhost:8000/v1 --model NAME --suites gsm8k --limit 100
  dsmath evaluate --system gpt-4 --model gpt-4o --suites gsm8k --functions --price 2.5,10 --budget 5

A server needs no device here and no tokenizer. Its key stands in an environment variable, which a system's record or
--key_env names; it is written nowhere. --system takes a closed system's server, way of asking and key from its record.
"""

import contextlib
import dataclasses
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich.console
import rich.progress
from absl import flags

from dsmath import config, recipes, runs, runtime
from dsmath.cli import experiment, server
from dsmath.config import need
from dsmath.error import UserError
from dsmath.records import Trajectory
from dsmath.systems import fewshot, roster
from dsmath.systems.system import System

if TYPE_CHECKING:
    from dsmath.model.decoder import Params
    from dsmath.rollout.evaluation import Subject
    from dsmath.rollout.ways import Ways

log = logging.getLogger(__name__)


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values)
    experiment.define_data_dir(values)
    experiment.define_step(values)
    experiment.define_weights(values, "HF folder to evaluate; needs no --config")
    flags.DEFINE_string(
        "system", None, "of `dsmath systems`: whose way to ask it is, for --weights or a server", values
    )
    flags.DEFINE_string("examples", None, "folder of few-shot examples (dsmath/systems/fewshot.py)", values)
    flags.DEFINE_list("suites", None, "benchmarks, such as gsm8k,math", flag_values=values)
    flags.DEFINE_list("modes", None, "of cot, tool, pot", flag_values=values)
    flags.DEFINE_integer("limit", None, "problems per suite", flag_values=values)
    server.define(values)


def resumes(values: flags.FlagValues) -> bool:
    """Whether the same command goes on where it was."""
    return True


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Evaluate, and return the summaries of all suites and modes."""
    ways, system = None, roster.find(values.system) if values.system else None
    if values.examples and system is None:
        raise UserError(f"--examples is {values.examples}, without the --system that is asked behind them")
    if server.is_asked(values, system):
        asked = server.asked(values, system)
        return _chosen(values, asked.settings, asked.run, step=0, ways=asked.ways, system=system, opened=asked.open())
    runtime.start(apart=True)
    if system is not None and values.template:
        raise UserError(f"--template is {values.template}, but {system.name} has its own; give one of them")
    if values.weights:
        run, settings = _of_folder(values, values.template if system is None else "reference")
        step = 0
        if system is not None:
            ways = fewshot.ways(system, None if values.examples is None else Path(values.examples))
    else:
        if system is not None:
            raise UserError(f"--system is {values.system}, without its --weights; a run keeps its own way to be asked")
        run, settings = experiment.run_to_decode(values)
        step = values.step
    return _chosen(values, settings, run, step=step, ways=ways, system=system)


def _chosen(
    values: flags.FlagValues,
    settings: config.Config,
    run: runs.Run,
    *,
    step: int | None,
    ways: "Ways | None",
    system: System | None,
    opened: "contextlib.AbstractContextManager[Subject] | None" = None,
) -> dict[str, Any]:
    """Evaluate on the suites and in the modes that the flags choose."""
    chosen = {name: getattr(values, name) for name in ("suites", "modes", "limit")}
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in chosen.items() if v is not None}
    wanted = config.parse(config.Eval, dataclasses.asdict(need(settings.eval, "eval")) | given, path="config.eval")
    if system is not None and values["config"].value is None:  # which else says how to sample and how long programs run
        temperature = system.temperature if values.temperature is None else values.temperature
        modes = wanted.modes if values.modes else tuple(system.ways)
        grader = wanted.grader or "reference"  # the same for all systems
        wanted = dataclasses.replace(wanted, temperature=temperature, modes=modes, grader=grader)
        limits = dataclasses.replace(need(settings.sandbox, "sandbox"), timeout_s=None)
        settings = dataclasses.replace(settings, sandbox=limits)
    settings = dataclasses.replace(settings, eval=wanted)
    asked = None if system is None else system.name
    console = rich.console.Console(file=sys.stderr if values.json else sys.stdout)
    data_dir = experiment.data_dir(values)
    return evaluate(settings, run, data_dir, step=step, console=console, ways=ways, system=asked, opened=opened)


def evaluate(
    settings: config.Config,
    run: runs.Run,
    data_dir: Path | None,
    *,
    step: int | None,
    console: rich.console.Console,
    ways: "Ways | None" = None,
    system: str | None = None,
    trained: "Params | None" = None,
    opened: "contextlib.AbstractContextManager[Subject] | None" = None,
) -> dict[str, Any]:
    """Evaluate one checkpoint on every suite and mode of the config, and show what came of it.

    `ways` are those of a `system`, whose name journals are pinned to; None for those of the config. `trained` are the
    step's parameters, where they are at hand; `opened` opens a server, which is evaluated in place of a checkpoint.
    Of several processes, the first one scores; the others return no summary.
    """
    from dsmath.cli import subject
    from dsmath.rollout import evaluation
    from dsmath.sandbox.client import Sandbox
    from dsmath.score import graders, scoring
    from dsmath.suites import catalogue

    wanted, limits = need(settings.eval, "eval"), need(settings.sandbox, "sandbox")
    evaluation.check_modes(wanted)
    ways = subject.ways(settings) if ways is None else ways
    # What can be refused is refused first: a wrong path should not cost a model's loading.
    suites = [catalogue.problems(name, data_dir, limit=wanted.limit) for name in wanted.suites]
    tasks = [(problems, mode, ways(problems[0].suite, mode)) for problems in suites for mode in wanted.modes]
    if wanted.grader not in (None, scoring.ALL):
        graders.find(wanted.grader)
    summaries = []
    with contextlib.ExitStack() as stack:
        limits_of = {way.protocol.name: evaluation.limits_of(way.protocol, limits) for _, _, way in tasks}
        sandboxes = {each: stack.enter_context(Sandbox(each)) for each in set(limits_of.values())}
        grading = stack.enter_context(graders.Grading())
        if opened is None:
            loaded = subject.load(settings, run, step, ways, trained)
            log.info("evaluating step %d of %s; the first dispatches compile", loaded.step, run.workdir)
        else:
            loaded = stack.enter_context(opened)
            log.info("evaluating %s into %s", loaded.name, run.workdir)
        if system is not None:
            loaded = dataclasses.replace(loaded, facts=loaded.facts | {"system": system})
        for problems, mode, way in tasks:
            budgets, sandbox = evaluation.with_budgets(wanted, way.protocol), sandboxes[limits_of[way.protocol.name]]
            done = evaluation.sample(problems, mode, run, loaded, sandbox, budgets, seed=settings.seed, track=track)
            if runtime.is_first():
                keys, grader = evaluation.keys(problems, budgets), budgets.grader or scoring.ALL
                summaries.append(scoring.score(done, grading, grader, keys=keys))
    if summaries:
        _show(summaries, run, loaded.step, console)
    return {"workdir": str(run.workdir), "step": loaded.step, "checkpoint": loaded.name, "summaries": summaries}


def _show(summaries: list[dict[str, Any]], run: runs.Run, step: int, console: rich.console.Console) -> None:
    from dsmath.report import table

    console.print(table.accuracies(summaries).terminal())
    console.print(f"Written to {run.workdir / 'evals' / str(step)}", soft_wrap=True, highlight=False)


def _of_folder(values: flags.FlagValues, template: str | None) -> tuple[runs.Run, config.Config]:
    """An evaluation of a folder of weights: what --config doesn't say, the folder and the recipe do."""
    from dsmath.cli import subject

    run = experiment.run_of_weights(values)
    if values["config"].value is not None:
        settings = experiment.settings(values)
    elif values.suites is None:
        raise UserError("--suites is missing; expected the benchmarks for --weights, such as --suites gsm8k,math")
    else:
        base = recipes.experiment(mesh=recipes.mesh(), eval=recipes.evaluation(), sandbox=recipes.sandbox())
        settings = config.parse(config.Config, base.to_dict())
    return run, subject.of_folder(settings, Path(values.weights), template)


def track(made: Iterable[Trajectory], what: str, total: int, done: int) -> Iterator[Trajectory]:
    """A progress bar on stderr."""
    columns = (*rich.progress.Progress.get_default_columns(), rich.progress.MofNCompleteColumn())
    with rich.progress.Progress(*columns, console=rich.console.Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, completed=done)
        for trajectory in made:
            yield trajectory
            bar.advance(task)
