"""Experiments over made-up published files, for the tests of preparation."""

import dataclasses
import json
from pathlib import Path

from dsmath import config

ROW = {"question": "How much is 12 x 34?", "answer": "12*34=<<12*34=408>>408 in all.\n#### 408"}
PLAIN = ROW | {"answer": "It is plain.\n#### 408"}


def settings(sources=("embedded",), modes=("cot", "tool"), problems=20, seed=0, **data) -> config.Config:
    """An experiment on these sources."""
    return config.Config(
        seed=seed,
        model=config.Arch(64, 8, 16, 1, 1, 1, 8, 1e4, 1e-6, True, 64),
        start=config.Start("random", "train", "reference"),
        mesh=config.Mesh(-1, 1, 1),
        data=dataclasses.replace(config.Data(sources, modes, problems, row_length=64, packing_bins=2), **data),
        sandbox=config.Sandbox(timeout_s=5.0, memory_mb=512, output_kb=16, workers=2, required_level="L1"),
    )


def write(data_dir: Path, source: str, rows: list[dict], file: str = "train.jsonl") -> Path:
    """Rows as JSON Lines in DATA_DIR/SOURCE."""
    path = data_dir / source / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
