"""Write the training set of an experiment: ArrayRecord files and a manifest, in WORKDIR/data.

Programs of solutions run in the sandbox; what does not print its answer is dropped, and so is what holds a part of a
benchmark, and what is there twice. WORKDIR/data/report.md says what and why, with samples. Killed, the same command
goes on where it was. The stages are Apache Beam pipelines (pip install 'dsmath[data]'): on this machine, in --workers
processes, or by --runner, with its options after `--`.

Example:
  dsmath prepare --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2 --data_dir DATA
  dsmath prepare --config configs/mixtures/dsmath_776k.py --workdir gs://BUCKET/RUN --data_dir DATA \\
    --runner DataflowRunner -- --project=PROJECT --region=REGION --temp_location=gs://BUCKET/tmp --setup_file=./setup.py
"""

import functools
import importlib.util
import logging
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich.console
import rich.table
from absl import flags

from dsmath import config, runs
from dsmath.cli import experiment
from dsmath.error import UserError
from dsmath.records import Example

if TYPE_CHECKING:
    from dsmath.text.codec import TokenCodec

log = logging.getLogger(__name__)

REST = "runner_options"  # what follows `--`


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values)
    experiment.define_data_dir(values)
    flags.DEFINE_bool("allow_missing", False, "prepare without the sources and benchmarks that aren't there", values)
    flags.DEFINE_integer("workers", 1, "processes on this machine", lower_bound=1, flag_values=values)
    flags.DEFINE_bool("stats", False, "show lengths, tokens by mode and language, and how rows are filled", values)
    flags.DEFINE_integer("show", 0, "examples to show, drawn by the seed", lower_bound=0, flag_values=values)
    flags.DEFINE_string("runner", None, "runner of Apache Beam; this machine if not given", values)
    flags.DEFINE_list(REST, [], "options of the runner; what follows `--`", values)


def resumes(values: flags.FlagValues) -> bool:
    """Whether the same command goes on where it was."""
    return True


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Prepare, and return the manifest."""
    run = experiment.run_of(values)
    settings = experiment.settings(values)
    runner = {"name": values.runner, "options": tuple(values[REST].value or ()), "workers": values.workers}
    manifest = prepare(settings, run.data, experiment.data_dir(values), allow_missing=values.allow_missing, **runner)
    console = rich.console.Console(file=sys.stderr if values.json else sys.stdout)
    console.print(_table(manifest))
    console.print(f"{manifest['examples']} examples in {run.data}", soft_wrap=True, highlight=False)
    if values.show:
        _show(settings, run, values.show, console)
    if values.stats:
        return manifest | {"statistics": _statistics(settings, run, console)}
    return manifest


def prepare(
    settings: config.Config, out: Path, data_dir: Path | None, *, allow_missing: bool = False, **runner: Any
) -> dict[str, Any]:
    """Prepare a training set, and return its manifest. Raises UserError where Beam isn't installed."""
    if importlib.util.find_spec("apache_beam") is None:
        raise UserError("preparing needs the package apache-beam; install it by pip install 'dsmath[data]'")
    from dsmath.data import preparation
    from dsmath.data.beam.pipelines import Runner

    return preparation.prepare(
        settings,
        out,
        data_dir,
        runner=Runner(**runner),
        allow_missing=allow_missing,
        open_count=_token_count(settings),
    )


def _token_count(settings: config.Config) -> Callable[[], Callable[[Example], int]] | None:
    """What opens the count of an example's tokens; None where the tokenizer is still to be trained, or isn't there."""
    start = settings.start
    return None if start is None or _codec(start) is None else functools.partial(_open_count, start)


def _open_count(start: config.Start) -> Callable[[Example], int]:
    from dsmath.cli import subject

    codec, template = _codec(start), subject.template_of(start)
    assert codec is not None  # as it was before
    return lambda example: sum(len(piece.ids or ()) for piece in codec.example(example, template))


def _codec(start: config.Start | None) -> "TokenCodec | None":
    """The codec of the tokenizer that a run starts from; None where that is still to be trained, or isn't there."""
    from dsmath.cli import subject
    from dsmath.text.codec import TokenCodec

    if start is None or start.tokenizer == "train":
        return None
    try:
        return TokenCodec(subject.tokenizer_of(start))
    except UserError as e:
        log.warning("tokens are not counted: %s", e)
        return None


def _show(settings: config.Config, run: runs.Run, count: int, console: rich.console.Console) -> None:
    """Show some examples, with their tokens where the tokenizer is there."""
    from dsmath.cli import subject
    from dsmath.data import prepared
    from dsmath.data.rendering import rendered
    from dsmath.text import template as templates

    examples = prepared.examples(run.data, settings)
    codec = _codec(settings.start)
    template = subject.template_of(settings.start) if settings.start else templates.find("reference")
    for index in random.Random(settings.seed).sample(range(len(examples)), min(count, len(examples))):
        console.print(rendered(examples[index], template, codec), soft_wrap=True, highlight=False)


def _statistics(settings: config.Config, run: runs.Run, console: rich.console.Console) -> dict[str, Any]:
    """Show what the set comes to in tokens of the run's tokenizer, which is trained for it where the config says so."""
    from dsmath.cli import subject
    from dsmath.config import need
    from dsmath.data import prepared
    from dsmath.data.feed import lengths
    from dsmath.data.feed.tokenise import Tokenise

    data, template = need(settings.data, "data"), subject.template_of(need(settings.start, "start"))
    on_output = settings.train is not None and settings.train.loss_on_tool_output
    tokenise = Tokenise(subject.tokenizer(settings, run), template, loss_on_tool_output=on_output)
    parts = prepared.parts(prepared.examples(run.data, settings), data)
    found = lengths.statistics(parts, tokenise, data, seed=settings.seed)
    percentiles = [f"{p}%" for p in lengths.PERCENTILES]
    table = rich.table.Table("", "Examples", "Tokens", "Trained", *percentiles, box=rich.box.SIMPLE_HEAD)
    for name, group in found["groups"].items():
        counts = [group["examples"], group["tokens"], group["trained"], *group["lengths"].values()]
        table.add_row(name, *(f"{count:,}" for count in counts))
    console.print(table)
    titles = ("Fill", "Rows", "Examples", "Dropped", "Dropped tokens", "Cut")
    table = rich.table.Table(f"Rows of {data.row_length}", *titles, box=rich.box.SIMPLE_HEAD)
    for name, tally in found["packing"].items():
        fields = ("rows", "examples", "dropped_examples", "dropped_tokens", "cut_examples")
        table.add_row(name, f"{tally['fill']:.1%}", *(f"{tally[field]:,}" for field in fields))
    console.print(table)
    return found


def _table(manifest: dict[str, Any]) -> rich.table.Table:
    table = rich.table.Table("Source", "Mode", "Read", "Kept", "Tokens", "Dropped", box=rich.box.SIMPLE_HEAD)
    for name, source in manifest["sources"].items():
        for mode, counts in source["modes"].items():
            dropped = "\n".join(f"{n:,}: {reason}" for reason, n in counts["dropped"].items())
            tokens = "" if counts["tokens"] is None else f"{counts['tokens']:,}"
            table.add_row(name, mode, f"{counts['read']:,}", f"{counts['kept']:,}", tokens, dropped or "0")
    return table
