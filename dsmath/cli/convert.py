"""Write a run's checkpoint as an HF folder that `transformers` loads and serves.

config.json, generation_config.json, safetensors, the tokenizer, and a chat template that renders the prompt that the
model was trained on. The model is the one that the run was trained with; an earlier export in the folder is replaced.

Example:
  dsmath convert --workdir runs/demo --out runs/demo/hf
"""

from pathlib import Path
from typing import Any

from absl import flags

from dsmath.cli import experiment
from dsmath.config import need
from dsmath.error import UserError


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values)
    flags.DEFINE_string("out", None, "folder to write", values)
    experiment.define_step(values)
    flags.DEFINE_enum("dtype", "bfloat16", ["bfloat16", "float32"], "type of the weights", values)


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Convert, and return where and what."""
    from dsmath.cli import subject
    from dsmath.model import folder
    from dsmath.sharding import make_mesh
    from dsmath.text import codec
    from dsmath.text import template as templates

    run = experiment.run_of(values)
    settings = experiment.settings_of_run(values, run)
    if not values.out:
        raise UserError("--out is missing; expected the folder to write")
    template = templates.find(need(settings.start, "start").template)
    step, arch, params = subject.open_step(settings, run, values.step, make_mesh(settings.mesh))
    tokens = subject.tokenizer(settings, run)
    folder.save(
        Path(values.out),
        params,
        arch,
        bos=tokens.bos,
        eos=codec.end_token(template, tokens),
        dtype=values.dtype,
        save_tokenizer=tokens.save,
        chat_template=template.chat_template(),
    )
    return {"out": values.out, "step": step, "dtype": values.dtype, "template": template.name}
