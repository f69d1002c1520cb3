"""Write a run's checkpoint as an HF folder that `transformers` loads: config.json, safetensors, tokenizer.

Example:
  dsmath convert --config configs/sft_demo.py --workdir runs/demo --out runs/demo/hf
"""

from pathlib import Path
from typing import Any

from absl import flags

from dsmath.cli import experiment
from dsmath.error import UserError


def define(values: flags.FlagValues) -> None:
    """Declare the verb's flags."""
    experiment.define(values)
    flags.DEFINE_string("out", None, "folder to write", values)
    experiment.define_step(values)
    flags.DEFINE_enum("dtype", "bfloat16", ["bfloat16", "float32"], "type of the weights", values)


def run(values: flags.FlagValues) -> dict[str, Any]:
    """Convert, and return where and what."""
    from dsmath.model import hf
    from dsmath.sharding import make_mesh

    settings, workdir = experiment.settings(values), experiment.workdir(values)
    if not values.out:
        raise UserError("--out is missing; expected the folder to write")
    step, params = experiment.weights(settings, workdir, values.step, make_mesh(settings.mesh))
    tokenizer = experiment.tokenizer(settings, workdir)
    hf.save(Path(values.out), params, settings.model, bos=tokenizer.bos, eos=tokenizer.eos, dtype=values.dtype)
    tokenizer.save(Path(values.out))
    return {"out": values.out, "step": step, "dtype": values.dtype}
