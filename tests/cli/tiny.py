"""A config that trains and evaluates in seconds; the tests' experiment."""

import importlib.util
from pathlib import Path

from ml_collections import ConfigDict

DEMO = Path(__file__).parents[2] / "configs" / "sft_demo.py"


def get_config() -> ConfigDict:
    spec = importlib.util.spec_from_file_location("sft_demo", DEMO)
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    c = demo.get_config()
    c.model.update(vocab_size=400, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=2, num_kv_heads=2)
    c.model.head_dim = 16
    c.mesh.data = 1
    c.data.embedded_problems = 40
    c.train.update(steps=4, batch_rows=4, microbatches=1, warmup_steps=0, checkpoint_every=2)
    c.eval.update(limit=12, slots=4, max_new=24)
    return c
