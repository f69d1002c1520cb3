"""Trains the small world in the folder given as argument; what the kill test starts and kills."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from dsmath.config import Config
from dsmath.data.feed.pipeline import Part
from dsmath.model import weights
from dsmath.runs import Run
from dsmath.sharding import TRAINING
from dsmath.text import template
from dsmath.train import loop
from tests.train.conftest import CONFIG, make_examples, make_tokenizer

LONG = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, steps=40, checkpoint_every=7))


def fit(config: Config, workdir: Path, **more: Any) -> dict[str, float]:
    """`loop.fit` on forty examples and random weights."""
    return loop.fit(
        config,
        Run(workdir),
        params=lambda mesh: weights.open_start("random", config.model, seed=config.seed, mesh=mesh, rules=TRAINING)[1],
        parts=(Part("own", make_examples(40), weight=None, epochs=1),),
        tokenizer=make_tokenizer(),
        template=template.TEMPLATES["reference"],
        progress=False,
        **more,
    )


if __name__ == "__main__":
    fit(LONG, Path(sys.argv[1]))
