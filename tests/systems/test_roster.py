"""Records agree with the paper's table, with each other, and with how large their models are."""

import importlib.resources
import json
import math

import jax
import pytest

from dsmath.error import UserError
from dsmath.model import decoder
from dsmath.records import MODES
from dsmath.systems import roster
from dsmath.systems.roster import SYSTEMS

OPEN = {name: system for name, system in SYSTEMS.items() if system.weights}
SECTION = {"cot": "cot", "tool": "tir", "pot": "tir"}
BEYOND = {  # what the paper's table doesn't have
    "deepseek-math-7b-base",
    "qwen-72b-chat",
    "smollm2-135m-instruct",
    "numinamath-7b-tir",
}

# Billions of parameters as somebody published them, where the exact number isn't a record's.
ROUNDED = {
    "deepseek-llm-67b-chat": "67",  # its name
    "internlm2-math-20b": "20",  # its name
    "qwen-72b": "72",  # its card: 72 billion, and 144 GB in 16 bits
    "qwen-72b-chat": "72",
    "seallm-7b-v2": "7.4",  # its one file of 16-bit numbers has 14.8 GB
    "wizardmath-70b-v1.0": "69",  # Llama-2-70B: 68,976,648,192
    "metamath-70b": "69",
    "mammoth-70b": "69",  # and one token more
    "tora-code-34b": "33.7",  # CodeLlama-34b: 33,743,970,304, and one token more
}


def rows() -> list[dict]:
    table = json.loads((importlib.resources.files("dsmath.report") / "table5.json").read_text(encoding="utf-8"))
    return [row for row in table["rows"] if row["access"] == "open"]


def test_every_open_row_of_the_table_has_a_record_of_its_title_and_section():
    recorded = {(system.title, SECTION[mode]) for system in OPEN.values() for mode in system.ways}
    assert {(row["system"], row["mode"]) for row in rows()} <= recorded


def test_a_title_is_one_systems_and_those_beyond_the_table_have_none_of_its_titles():
    titles = [system.title for system in SYSTEMS.values()]
    assert len(set(titles)) == len(titles)
    of_rows = {row["system"] for row in rows()}
    assert {name for name, system in OPEN.items() if system.title not in of_rows} == BEYOND


def test_a_record_is_found_by_its_name_and_an_unknown_one_is_one_line():
    assert all(roster.find(name).name == name for name in SYSTEMS)
    with pytest.raises(UserError, match="no system is named 'gpt-5'; `dsmath systems` lists them"):
        roster.find("gpt-5")


def test_a_mode_that_a_system_has_not_is_one_line():
    with pytest.raises(UserError, match="tora-code-34b isn't asked in mode 'cot'; expected --modes of: tool"):
        SYSTEMS["tora-code-34b"].way("gsm8k", "cot")


@pytest.mark.parametrize("name", OPEN)
def test_a_model_has_as_many_parameters_as_were_published(name):
    weights = OPEN[name].weights
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(decoder.abstract(weights.arch)))
    if weights.parameters is not None:
        assert count == weights.parameters
    else:
        digits = len(ROUNDED[name].partition(".")[2])
        assert f"{count / 1e9:.{digits}f}" == ROUNDED[name]


def test_no_number_of_parameters_is_left_out():
    assert set(ROUNDED) == {name for name, system in OPEN.items() if system.weights.parameters is None}


@pytest.mark.parametrize("name", OPEN)
def test_numbers_of_heads_fit(name):
    arch = OPEN[name].weights.arch
    assert arch.num_heads % arch.num_kv_heads == 0
    assert arch.num_heads * arch.head_dim == arch.hidden_size
    assert arch.window is None or arch.window < arch.max_positions


def ways(system):
    return [(mode, way) for mode, way in system.ways.items()] + [
        (mode, way) for (_, mode), way in system.of_suites.items()
    ]


@pytest.mark.parametrize("name", OPEN)
def test_every_way_can_be_asked_in_both_languages(name):
    for mode, way in ways(OPEN[name]):
        assert mode in MODES
        for lang in ("en", "zh"):
            assert any(
                "Q?" in part for part in way.template.prompt("Q?", lang=lang, mode=mode) if isinstance(part, str)
            )
            if way.otherwise:
                assert way.otherwise.prompt("Q?", lang=lang, mode="cot")


def test_a_protocols_name_stands_for_one_way_of_using_tools():
    """Journals of a suite are told apart by it; budgets may differ, and are pinned beside it."""
    found = {}
    for system in OPEN.values():
        for _, way in ways(system):
            p = way.protocol
            assert found.setdefault(p.name, (p.goes_on, p.program, p.shown, p.whole, p.timeout_s, p.grader)) == (
                *(p.goes_on, p.program, p.shown, p.whole, p.timeout_s, p.grader),
            )
