"""Write a run's checkpoint as an HF folder that `transformers` loads and serves, or an HF folder as sharded weights.

The first has config.json, generation_config.json, safetensors, the tokenizer, and a chat template that renders the
prompt that the model was trained on. The model is the one that the run was trained with; an earlier export in the
folder is replaced. Several processes that share a mesh all run this; the first one writes.

Sharded weights are what config.start.weights may name instead of the HF folder: any number of hosts read their parts of
them, from a bucket too. They are written a layer at a time, on any machine.

Examples:
  dsmath convert --workdir runs/demo --out runs/demo/hf
  dsmath convert --weights deepseek-math-7b-base --out gs://bucket/deepseek-math-7b-base
"""

from pathlib import Path
from typing import Any

from absl import flags

from dsmath import runtime, storage
from dsmath.cli import experiment
from dsmath.config import need
from dsmath.error import UserError


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values)
    flags.DEFINE_string("weights", None, "HF folder to write as sharded weights, instead of a run", values)
    flags.DEFINE_string("out", None, "folder to write", values)
    experiment.define_step(values)
    flags.DEFINE_enum("dtype", "bfloat16", ["bfloat16", "float32"], "type of the weights of an HF folder", values)


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Convert, and return where and what."""
    if not values.out:
        raise UserError("--out is missing; expected the folder to write")
    return _sharded(values) if values.weights else _export(values)


def _sharded(values: flags.FlagValues) -> dict[str, Any]:
    from dsmath.model import folder, sharded

    if given := [name for name in ("workdir", "step", "config") if values[name].value is not None]:
        raise UserError(f"--{given[0]} is of a run, --weights of none; give one of them")
    sharded.write(storage.path(values.out), folder.open_weights(Path(values.weights)))
    return {"out": values.out, "weights": values.weights}


def _export(values: flags.FlagValues) -> dict[str, Any]:
    from dsmath.cli import subject
    from dsmath.model import folder
    from dsmath.sharding import make_mesh
    from dsmath.text import codec

    runtime.start()
    run = experiment.run_of(values)
    settings = experiment.settings_of_run(values, run)
    template = subject.template_of(need(settings.start, "start"))
    step, arch, params = subject.open_step(settings, run, values.step, make_mesh(settings.mesh))
    tokens = subject.tokenizer(settings, run)
    folder.save(
        storage.path(values.out),
        params,
        arch,
        bos=tokens.bos,
        eos=codec.end_token(template, tokens),
        dtype=values.dtype,
        save_tokenizer=tokens.save,
        chat_template=template.chat_template(),
    )
    return {"out": values.out, "step": step, "dtype": values.dtype, "template": template.name}
