"""What several verbs need of an experiment: its config, its folder, its tokenizer, the weights that it starts from."""

import dataclasses
import functools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_flags

from dsmath import config
from dsmath.error import UserError
from dsmath.text import template as templates
from dsmath.text import tokenizer as tokenizers

log = logging.getLogger(__name__)

TOKENIZER_EXAMPLES = 20_000  # of the training set, to train a tokenizer on


def define(values: flags.FlagValues, *, config: Path | None = None, workdir: str | None = None) -> None:
    """The flags --config (with overrides such as --config.train.steps=10) and --workdir, and their defaults."""
    help = "Python file with get_config(), see configs/; --config.train.steps=10 and the like override"
    config_flags.DEFINE_config_file("config", config and str(config), help, values)
    define_workdir(values, workdir=workdir)


def define_workdir(values: flags.FlagValues, *, workdir: str | None = None) -> None:
    """The flag --workdir."""
    flags.DEFINE_string("workdir", workdir, "folder of the run: its data, checkpoints, evaluations, report", values)


def define_data_dir(values: flags.FlagValues) -> None:
    """The flag --data_dir."""
    flags.DEFINE_string("data_dir", None, "folder with the published data sets: gsm8k/, math/, ...", values)


def settings(values: flags.FlagValues) -> config.Config:
    """The experiment that --config names. Raises UserError for what no room could work with."""
    if values["config"].value is None:
        raise UserError("--config is missing; expected a config file, such as --config configs/sft_demo.py")
    try:
        given = values.config.to_dict()
    except OSError as e:  # raised at the first use, with the reason on its last line
        path = config_flags.get_config_filename(values["config"])
        reason = str(e).strip().splitlines()[-1].strip()
        raise UserError(f"cannot load the config {path}: {reason}; expected a Python file with get_config()") from e
    parsed = config.parse(config.Config, given)
    templates.find(parsed.start.template)
    return parsed


def workdir(values: flags.FlagValues) -> Path:
    """The folder that --workdir names."""
    if not values.workdir:
        raise UserError("--workdir is missing; expected the folder of the run, such as --workdir runs/demo")
    return Path(values.workdir)


def data_dir(values: flags.FlagValues) -> Path | None:
    """The folder that --data_dir names, if it does."""
    return Path(values.data_dir) if values.data_dir else None


def tokenizer(settings: config.Config, folder: Path) -> tokenizers.Tokenizer:
    """The run's tokenizer: the one saved in its folder, else the one that its config calls for."""
    saved, kind = folder / "tokenizer", settings.start.tokenizer
    if saved.is_dir():
        found = tokenizers.load(saved)
    elif kind == "train":
        log.info("training a tokenizer on the training set")
        found = tokenizers.train(_texts(folder / "data", settings.start.template), vocab_size=settings.model.vocab_size)
    elif kind == "weights":
        found = _tokenizer_of_weights(settings.start.weights)
    else:
        found = tokenizers.load(Path(kind))
    if found.vocab_size > settings.model.vocab_size:
        raise UserError(
            f"config.model.vocab_size is {settings.model.vocab_size}, but the tokenizer has {found.vocab_size} tokens; "
            "choose config.start.tokenizer and config.model of one model"
        )
    return found


def start_weights(settings: config.Config):
    """The parameters (layers stacked, f32) that the run starts from.

    Raises UserError where config.model is not the architecture of the weights.
    """
    import jax

    from dsmath.model import decoder, gguf, hf, smollm2

    source = settings.start.weights
    log.info("start weights: %s", source)
    if source == "random":
        init = jax.jit(functools.partial(decoder.init, settings.model))
        return init(jax.random.key(settings.seed))
    arch, params = gguf.load(smollm2.fetch()) if source == "smollm2" else hf.load(Path(source))
    for field in dataclasses.fields(arch):
        ours, theirs = getattr(settings.model, field.name), getattr(arch, field.name)
        if ours != theirs and field.name != "max_positions":
            raise UserError(
                f"config.model.{field.name} is {ours}, but in the weights {source!r} it is {theirs}; make them agree"
            )
    return params


def define_step(values: flags.FlagValues) -> None:
    """The flag --step."""
    flags.DEFINE_integer("step", None, "checkpoint; 0 for the start weights, last if not given", flag_values=values)


def weights(settings: config.Config, workdir: Path, step: int | None, mesh) -> tuple[int, Any]:
    """The step, the last one if None is asked for, and its parameters (layers stacked, f32); step 0 starts the run."""
    from dsmath.train import checkpoints

    step = checkpoints.latest_step(workdir) if step is None else step
    if step is None:
        raise UserError(f"no checkpoint in {workdir}; train first, or give --step=0 for the start weights")
    if step == 0:
        return 0, start_weights(settings)
    return step, checkpoints.restore_params(workdir, step, mesh, settings.model)


def _tokenizer_of_weights(source: str) -> tokenizers.Tokenizer:
    if source == "random":
        raise UserError('config.start.tokenizer is "weights", but random weights have none; expected "train" or a path')
    if source == "smollm2":
        from dsmath.model import smollm2

        return tokenizers.from_gguf(smollm2.fetch())
    return tokenizers.load(Path(source))


def _texts(data: Path, name: str) -> Iterator[str]:
    from dsmath.data import mixture

    examples, template = mixture.examples(data), templates.find(name)
    for i in range(0, len(examples), max(1, len(examples) // TOKENIZER_EXAMPLES)):
        prompt = template.prompt(examples[i].question, lang=examples[i].lang, mode=examples[i].mode)
        yield "".join(part for part in prompt if isinstance(part, str))
        yield from (piece.text for piece in examples[i].solution)
