"""What is written goes back to where it came from."""

import json

import pytest

from dsmath.text import tokenizer
from tests.cli.test_runs import plain
from tests.model import released
from tests.model.test_families import files_of, identical

CONFIG = """
from ml_collections import ConfigDict
from tests.cli import tiny

def get_config() -> ConfigDict:
    c = tiny.get_config()
    c.model = None
    c.start.update(weights={weights!r}, tokenizer="weights")
    return c
"""


@pytest.mark.parametrize("name", ["chatglm", "qwen"])
def test_a_run_is_exported_in_the_layout_that_it_started_from(name, tmp_path):
    dtype = released.CASES[name].dtype
    released.write(name, tmp_path / "start", dtype=dtype)
    tokenizer.train(["a wren and two larks"], vocab_size=260).save(tmp_path / "start")
    config, run, out = (tmp_path / of for of in ("config.py", "run", "out"))
    config.write_text(CONFIG.format(weights=str(tmp_path / "start")))
    done = plain("convert", "--config", str(config), "--workdir", str(run), "--step=0", "--out", str(out),
                 "--dtype", dtype)  # fmt: skip
    assert done.returncode == 0, done.stderr
    theirs, ours = files_of(tmp_path / "start"), files_of(out)
    assert ours.keys() == {tensor for tensor in theirs if "inv_freq" not in tensor}
    assert all(identical(ours[tensor], theirs[tensor]) for tensor in ours)
    assert json.loads((out / "config.json").read_text())["model_type"] == name
