"""The border of the configuration: strict, and its own inverse."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest

from dsmath import config
from dsmath.error import UserError

FOLDER = Path(__file__).parent.parent / "configs"
CONFIGS = [*sorted(FOLDER.glob("*.py")), *sorted(FOLDER.glob("mixtures/*.py"))]


def values(path: Path) -> dict:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config().to_dict()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_parses_and_survives_json(path):
    parsed = config.parse(config.Config, values(path))
    assert config.load(config.dump(parsed)) == parsed


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_says_how_it_is_run(path):
    assert "    dsmath " in path.read_text()


def test_the_7b_is_the_papers():
    c = config.parse(config.Config, values(FOLDER / "sft_7b.py"))
    assert (c.train.steps, c.train.batch_rows, c.data.row_length, c.train.learning_rate) == (500, 256, 4096, 5e-5)
    assert c.train.warmup_steps == 0
    m = c.model
    layer = (
        2 * m.num_heads + 2 * m.num_kv_heads
    ) * m.head_dim * m.hidden_size + 3 * m.hidden_size * m.intermediate_size
    parameters = m.num_layers * (layer + 2 * m.hidden_size) + 2 * m.vocab_size * m.hidden_size + m.hidden_size
    assert parameters == 6_910_365_696  # deepseek-math-7b: 6.91e9


def change(given: dict, path: str, value: object) -> dict:
    section, name = path.split(".")
    return given | {section: given[section] | {name: value}}


def test_an_unknown_field_is_named():
    with pytest.raises(UserError, match=r"config.train.stepz is not a field .* steps"):
        config.parse(config.Config, change(values(CONFIGS[0]), "train.stepz", 3))


def test_a_missing_field_is_named():
    given = values(CONFIGS[0])
    del given["eval"]["rounds"]
    with pytest.raises(UserError, match=r"config.eval.rounds is missing"):
        config.parse(config.Config, given)


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        ("train.steps", 1.5, "int"),
        ("train.steps", True, "int"),
        ("train.remat", 1, "str"),
        ("eval.suites", "gsm8k", "tuple"),
        ("data.modes", (1,), "str"),
    ],
)
def test_a_wrong_type_is_named(path, value, kind):
    with pytest.raises(UserError, match=rf"config.{path}.* is .*; expected {kind}"):
        config.parse(config.Config, change(values(CONFIGS[0]), path, value))


def test_a_whole_number_may_stand_for_a_float():
    c = config.parse(config.Config, change(values(CONFIGS[0]), "eval.temperature", 1))
    assert c.eval.temperature == 1.0
    assert dataclasses.is_dataclass(c)


def test_the_sandbox_level_is_required_unless_another_one_is_given():
    limits = {"timeout_s": 1.0, "memory_mb": 64, "output_kb": 8, "workers": 1}
    assert config.parse(config.Sandbox, limits).required_level == "L1"
    assert config.parse(config.Sandbox, limits | {"required_level": "L2"}).required_level == "L2"
