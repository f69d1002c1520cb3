"""Write solutions to problems of training sources, run their programs, and keep what is right: rejection sampling.

config.annotate says which problems, in which mode, how many samples of each, and how many different right ones stay;
config.eval how they are decoded. The model is a run's checkpoint, or any HF folder of weights (--weights). Questions
that hold a part of a suite in config.data.decontaminate are not asked.

WORKDIR/annotations/STEP/MODE[-PROTOCOL]/annotated.jsonl has what is kept; summary.json says what was asked, and why
the rest isn't kept. A copy of the former in DATA_DIR/annotated/ is the training source `annotated`. Killed, the same
command goes on where it was; on several hosts it shares out the problems, as `dsmath evaluate` does.

Examples:
  dsmath annotate --config configs/rft_demo.py --workdir runs/rft/first
  dsmath annotate --config CONFIG --weights FOLDER --workdir runs/annotated --data_dir DATA
"""

import dataclasses
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich.box
import rich.console
import rich.table
from absl import flags

from dsmath import config, journal, runs, runtime
from dsmath.cli import experiment
from dsmath.config import need

if TYPE_CHECKING:
    from dsmath.data.problems import Asked
    from dsmath.data.stages.solutions import Response
    from dsmath.score.graders import Grading
    from dsmath.text.template import Template

log = logging.getLogger(__name__)


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values)
    experiment.define_data_dir(values)
    experiment.define_step(values)
    experiment.define_weights(values, "HF folder that writes, instead of a run's checkpoint")
    flags.DEFINE_bool("allow_missing", False, "go on without the sources and benchmarks that aren't there", values)


def resumes(values: flags.FlagValues) -> bool:
    """Whether the same command goes on where it was."""
    return True


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Annotate, and return the summary."""
    from dsmath.cli import subject

    runtime.start(apart=True)
    if values.weights:
        run, step = experiment.run_of_weights(values), 0
        settings = subject.of_folder(experiment.settings(values), Path(values.weights), values.template)
    else:
        run, settings = experiment.run_to_decode(values)
        step = values.step
    console = rich.console.Console(file=sys.stderr if values.json else sys.stdout)
    data_dir, allow_missing = experiment.data_dir(values), values.allow_missing
    return annotate(settings, run, data_dir, step=step, allow_missing=allow_missing, console=console)


def annotate(
    settings: config.Config,
    run: runs.Run,
    data_dir: Path | None,
    *,
    step: int | None,
    allow_missing: bool = False,
    console: rich.console.Console,
) -> dict[str, Any]:
    """Sample solutions to what is asked of every source, keep those that are right, and show what came of it.

    Of several processes, the first one chooses; the others return no figures.
    """
    from dsmath.cli import evaluate, subject
    from dsmath.data import problems
    from dsmath.rollout import evaluation
    from dsmath.sandbox.client import Sandbox
    from dsmath.score.graders import Grading

    section = problems.checked(settings)
    asked_for = _budgets(need(settings.eval, "eval"), section)
    evaluation.check_modes(asked_for)
    settings = dataclasses.replace(settings, eval=asked_for)
    ways = subject.ways(settings)
    way = ways("", section.mode)
    budgets = evaluation.with_budgets(asked_for, way.protocol)
    limits = evaluation.limits_of(way.protocol, need(settings.sandbox, "sandbox"))
    solved = _solved(settings, run, section.mode) if section.unsolved else frozenset()
    asked, missing = problems.find(settings, data_dir, solved=solved, allow_missing=allow_missing)
    responses = {}
    with Sandbox(limits) as sandbox, Grading() as grading:
        loaded = subject.load(settings, run, step, ways)
        to = run.annotation(loaded.step, section.mode, section.protocol)
        log.info("annotating by step %d of %s; the first dispatches compile", loaded.step, run.workdir)
        for name, of_source in asked.items():
            where, wanted, mode = to.of_source(name), of_source.problems, section.mode
            if wanted:
                pinned = dataclasses.replace(loaded, facts=loaded.facts | {"inputs": of_source.digests})
                seed, track = settings.seed, evaluate.track
                evaluation.fill(where, wanted, mode, way, pinned, sandbox, budgets, seed=seed, track=track)
            if runtime.is_first():
                responses[name] = _chosen(where, of_source, way.template, budgets, grading, section.keep)
    about = {"workdir": str(run.workdir), "step": loaded.step, "checkpoint": loaded.name}
    if not responses:
        return about
    about |= {"mode": section.mode, "protocol": section.protocol, "template": way.template.name, "missing": missing}
    return about | _write(to, about, asked, responses, console)


def _budgets(settings: config.Eval, section: config.Annotate) -> config.Eval:
    """How solutions are sampled, in the terms of an evaluation."""
    shared = {name: getattr(section, name) for name in ("protocol", "samples", "temperature", "top_p")}
    return dataclasses.replace(settings, suites=(), modes=(section.mode,), limit=None, top_k=None, **shared)


def _solved(settings: config.Config, run: runs.Run, mode: str) -> frozenset[str]:
    """The questions that the training set has a solution to."""
    from dsmath.data import prepared

    examples = prepared.examples(run.data, settings)
    return frozenset(e.question for e in (examples[i] for i in range(len(examples))) if e.mode == mode)


def _chosen(
    where: runs.Evaluation, asked: "Asked", template: "Template", budgets: config.Eval, grading: "Grading", keep: int
) -> list["Response"]:
    from dsmath.data.stages import solutions
    from dsmath.rollout import evaluation
    from dsmath.score import scoring

    keys = evaluation.keys(asked.problems, budgets)
    log.info("grading %d samples", len(keys))
    sampled = (t for t in scoring.read_trajectories(*where.journals()) if t.key in keys)
    return solutions.chosen(asked.problems, solutions.judged(sampled, template, grading), keep)


def _write(
    to: runs.Annotation,
    about: dict[str, Any],
    asked: dict[str, "Asked"],
    responses: dict[str, list["Response"]],
    console: rich.console.Console,
) -> dict[str, Any]:
    """Write both files, show the figures and return them."""
    from dsmath.data.stages import solutions

    kept = (solutions.line(r, name) for name, group in responses.items() for r in group if r.kept)
    journal.write(to.annotated, map(journal.line, kept))
    everything = [response for group in responses.values() for response in group]
    langs = sorted({response.problem.lang for response in everything})
    figures = {
        "grader": solutions.GRADER,
        **solutions.figures(everything),
        "sources": {
            name: {**(solutions.figures(group) if group else {}), "skipped": asked[name].skipped}
            for name, group in responses.items()
        },
        "langs": {lang: solutions.figures([r for r in everything if r.problem.lang == lang]) for lang in langs},
        "annotated": str(to.annotated),
    }
    journal.write(to.summary, [json.dumps(about | figures, ensure_ascii=False, indent=1) + "\n"])
    for table in _tables(figures):
        console.print(table)
    console.print(f"{figures['kept']} solutions in {to.annotated}", soft_wrap=True, highlight=False)
    return figures


def _tables(figures: dict[str, Any]) -> list[rich.table.Table]:
    head = ("Problems of", "Asked", "Samples", "Right", "Solved", "Kept")
    counts = rich.table.Table(*head, box=rich.box.SIMPLE_HEAD)
    rows = {name: part for name, part in figures["sources"].items() if "samples" in part} | figures["langs"]
    for name, part in {**rows, "all": figures}.items():
        counts.add_row(name, *(f"{part[key]:,}" for key in ("problems", "samples", "correct", "solved", "kept")))
    fell = rich.table.Table("Not kept", "Samples", box=rich.box.SIMPLE_HEAD)
    for reason, n in figures["fell"].items():
        fell.add_row(reason, f"{n:,}")
    return [counts, fell]
