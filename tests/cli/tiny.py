"""A config that trains and evaluates in seconds; the tests' experiment."""

from ml_collections import ConfigDict

from dsmath import recipes


def get_config() -> ConfigDict:
    c = recipes.demo()
    c.model.update(vocab_size=400, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=2, num_kv_heads=2)
    c.model.head_dim = 16
    c.data.embedded_problems = 40
    c.train.update(steps=4, batch_rows=4, microbatches=1, warmup_steps=0, checkpoint_every=2)
    c.eval.update(limit=12, slots=4, max_new=24)
    c.annotate = recipes.annotation("embedded", embedded_problems=10, samples=3, keep=2, temperature=1.0)
    return c
