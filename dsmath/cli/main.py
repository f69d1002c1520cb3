"""`dsmath VERB [flags]`: finds the verb's module, parses its flags, prints its result.

A verb is a module of this package with a docstring (its help, with an example), `define(values)` that declares its
flags, and `run(values)`, which returns the result, a dict or a list of them. If it has them, `POSITIONAL` names the
flag that may stand without its name, `REST` the one that takes what follows `--`, and `resumes(values)` says whether
the same command goes on where it was interrupted.
"""

import importlib
import json
import logging
import sys
from types import ModuleType

from absl import flags

from dsmath import config, error, runtime
from dsmath.cli import experiment
from dsmath.error import Preempted, UserError

VERBS = {
    "demo": "train and evaluate a small model on embedded problems, end to end",
    "prepare": "write the training set",
    "annotate": "write solutions to training problems, and keep those that are right",
    "train": "fine-tune",
    "evaluate": "sample solutions, run their programs, score them",
    "run": "run a program as an evaluation would",
    "score": "grade the journals of an evaluation again; needs no device",
    "report": "tables of a run's results; needs no device",
    "plan": "what training takes on a slice that isn't there; needs no device",
    "convert": "write a checkpoint as an HF folder, or an HF folder as sharded weights",
    "systems": "the systems of the paper's Table 5, and whether they can be evaluated",
    "doctor": "what this machine has: sandbox levels, versions",
}


def main() -> None:
    """Entry point of the console script. Exits with 0, with what dsmath/error.py says, or with 130 when interrupted."""
    verb, *args = sys.argv[1:] or ["--help"]
    if verb in ("-h", "--help", "help"):
        print(_overview())
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("absl", "jax", "orbax", "grain", "gcsfs", "apache_beam"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    runtime.choose_platform()
    module: ModuleType | None = None
    values = flags.FlagValues()
    try:
        if verb not in VERBS:
            raise UserError(f"no verb {verb!r}; expected one of: {', '.join(VERBS)}")
        module = importlib.import_module(f"dsmath.cli.{verb}")
        _define(module, values)
        if {"-h", "--help"} & set(args):
            print(_help(verb, module, values))
            return
        _parse(values, args, getattr(module, "POSITIONAL", None), getattr(module, "REST", None))
        if "print_config" in values and values.print_config:
            print(config.dump(experiment.settings(values)), end="")
            return
        result = module.run(values)
    except UserError as e:
        print(f"dsmath {verb}: {e}", file=sys.stderr)
        runtime.leave(error.USER_ERROR)
    except Preempted as e:
        print(f"dsmath {verb}: {e}", file=sys.stderr)
        runtime.leave(error.TRY_AGAIN)
    except KeyboardInterrupt:
        resumes = getattr(module, "resumes", None)
        goes_on = resumes is not None and values.is_parsed() and resumes(values)
        print(f"dsmath {verb}: interrupted{'; the same command goes on from here' * goes_on}", file=sys.stderr)
        runtime.leave(130)
    if values.json and runtime.is_first():
        print(json.dumps(result, ensure_ascii=False))


def _define(module: ModuleType, values: flags.FlagValues) -> None:
    flags.DEFINE_bool("json", False, "print the result as one JSON object on the last line of stdout", values)
    module.define(values)


def _parse(values: flags.FlagValues, args: list[str], positional: str | None, others: str | None) -> None:
    try:
        rest = values(["dsmath", *args])[1:]
        if others and "--" in args:
            values[others].value, rest = rest, []
        if rest and positional:
            values[positional].value = rest.pop(0)
    except flags.Error as e:
        raise UserError(f"{str(e).splitlines()[0]}; --help lists the flags") from e
    except (AttributeError, KeyError, TypeError, ValueError) as e:  # ml_collections, for --config.x.y=z
        raise UserError(f"{_one_line(e)}; expected a field of the config file") from e
    if rest:
        raise UserError(f"unexpected argument {rest[0]!r}; --help lists the flags")


def _overview() -> str:
    verbs = "\n".join(f"  {name:<9} {what}" for name, what in VERBS.items())
    return f"usage: dsmath VERB [flags]\n\n{verbs}\n\ndsmath VERB --help tells a verb's flags, with an example."


def _help(verb: str, module: ModuleType, values: flags.FlagValues) -> str:
    own = [values[name] for name in sorted(values) if values[name].name == name and "." not in name]
    lines = [f"  --{flag.name:<9} {flag.help}{_default(flag)}" for flag in own]
    return f"usage: dsmath {verb} [flags]\n\n{(module.__doc__ or '').strip()}\n\nFlags:\n" + "\n".join(lines)


def _default(flag: flags.Flag) -> str:
    return f" (default: {flag.default})" if isinstance(flag.default, str) else ""


def _one_line(error: Exception) -> str:
    """The text of an ml_collections error: a KeyError comes quoted twice, with its line ends escaped."""
    name, *hint = str(error).replace("\\n", "\n").replace("\\'", "'").splitlines()
    return " ".join(["config has no field " + name.strip("'\""), *(line.strip("'") for line in hint)])


if __name__ == "__main__":
    main()
