"""TODO"""

from ml_collections import ConfigDict

from dsmath import recipes


def get_config(round: str = "first") -> ConfigDict:
    c = recipes.demo()
    c.data = recipes.data(
        *(("embedded",) if round == "first" else ("embedded", "annotated")),
        modes=("tool",),
        embedded_problems=600,
        row_length=256,
        packing_bins=16,
        decontaminate=(),
    )
    c.train.update(steps=400 if round == "first" else 300)
    c.eval.update(modes=("tool",), slots=32)
    c.annotate = recipes.annotation("embedded", embedded_problems=1600, samples=4, keep=2, unsolved=True)
    if round != "first":
        c.start = recipes.start("runs/rft/first/hf")
    return c
