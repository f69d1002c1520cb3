"""What several verbs need of an experiment: its flags, its config, its folder."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from dsmath import config, runs
from dsmath.error import UserError
from dsmath.text import template as templates

PINNED = ("seed", "model", "start")  # sections in which a run stays what it was trained as


def define(values: flags.FlagValues, *, default: ConfigDict | None = None, workdir: str | None = None) -> None:
    """The flags --config (with overrides such as --config.train.steps=10), --print_config and --workdir."""
    define_config(values, default=default)
    define_workdir(values, workdir=workdir)


def define_config(values: flags.FlagValues, *, default: ConfigDict | None = None) -> None:
    """The flags --config and --print_config."""
    help = "Python file with get_config(), see configs/; --config.train.steps=10 and the like override"
    if default is None:
        config_flags.DEFINE_config_file("config", None, help, values)
    else:
        config_flags.DEFINE_config_dict("config", default, "--config.train.steps=10 and the like change it", values)
    flags.DEFINE_bool("print_config", False, "print the config as JSON, and do nothing else", flag_values=values)


def define_workdir(values: flags.FlagValues, *, workdir: str | None = None) -> None:
    """The flag --workdir."""
    flags.DEFINE_string("workdir", workdir, "folder of the run: its data, checkpoints, evaluations, report", values)


def define_data_dir(values: flags.FlagValues) -> None:
    """The flag --data_dir."""
    flags.DEFINE_string("data_dir", None, "folder with the published data sets: gsm8k/, math/, ...", values)


def define_step(values: flags.FlagValues) -> None:
    """The flag --step."""
    flags.DEFINE_integer("step", None, "checkpoint; 0 for the start weights, last if not given", flag_values=values)


def define_weights(values: flags.FlagValues, help: str) -> None:
    """The flags --weights and --template."""
    flags.DEFINE_string("weights", None, help, values)
    flags.DEFINE_string("template", None, "how --weights is talked to, if its folder doesn't say", values)


def run_of(values: flags.FlagValues) -> runs.Run:
    """The run that --workdir names."""
    if not values.workdir:
        raise UserError("--workdir is missing; expected the folder of the run, such as --workdir runs/demo")
    return runs.Run(values.workdir)


def run_of_weights(values: flags.FlagValues) -> runs.Run:
    """The folder for what --weights writes: --workdir, or one named after it. Raises UserError for a trained run's."""
    run = runs.Run(values.workdir or Path("runs") / Path(values.weights).resolve().name)
    if run.config.exists():
        raise UserError(f"{run.workdir} holds a run that was trained; expected another --workdir for --weights")
    return run


def run_to_decode(values: flags.FlagValues) -> tuple[runs.Run, config.Config]:
    """The run that --workdir names, where --weights isn't given, as `settings_of_run` has it."""
    if values.template:
        raise UserError("--template is for --weights; a run keeps the template that it was trained with")
    run = run_of(values)
    return run, settings_of_run(values, run)


def data_dir(values: flags.FlagValues) -> Path | None:
    """The folder that --data_dir names, if it does."""
    return Path(values.data_dir) if values.data_dir else None


def settings(values: flags.FlagValues) -> config.Config:
    """The experiment that --config names. Raises UserError for what no room could work with."""
    if (given := _given(values)) is None:
        raise UserError("--config is missing; expected a config file, such as --config configs/sft_demo.py")
    return given


def settings_of_run(values: flags.FlagValues, run: runs.Run) -> config.Config:
    """The experiment that a run was trained as; --config may change evaluation, annotation, mesh and sandbox.

    Before a run is trained, it is what --config says. Raises UserError where --config contradicts the run.
    """
    given = _given(values)
    if not run.config.exists():
        if given is None:
            raise UserError(f"--config is missing, and {run.workdir} has no {run.config.name}: train first, or name it")
        return given
    trained = runs.stored(run)
    if given is None:
        return trained
    before, now = (runs.flatten({name: _plain(c)[name] for name in PINNED}) for c in (trained, given))
    runs.require_same(run.workdir, before, now)
    free = {name: getattr(given, name) for name in ("eval", "annotate", "mesh", "sandbox")}
    return dataclasses.replace(trained, **free)


def _given(values: flags.FlagValues) -> config.Config | None:
    """What --config says, None without it."""
    if values["config"].value is None:
        return None
    try:
        given = values.config.to_dict()
    except OSError as e:  # raised at the first use, with the reason on its last line
        path = config_flags.get_config_filename(values["config"])
        reason = str(e).strip().splitlines()[-1].strip()
        raise UserError(f"cannot load the config {path}: {reason}; expected a Python file with get_config()") from e
    parsed = config.parse(config.Config, given)
    if parsed.start is not None:
        templates.check(parsed.start.template)
    return parsed


def _plain(settings: config.Config) -> dict[str, Any]:
    return json.loads(config.dump(settings))
