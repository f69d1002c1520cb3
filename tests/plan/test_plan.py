"""What a step takes: by hand where that can be, held where it can't."""

import dataclasses
import importlib.util
import json
import math
import subprocess
import sys

import jax
import pytest

from dsmath import chips
from dsmath.config import Arch, Mesh
from dsmath.error import UserError
from dsmath.plan import decoding, topology
from dsmath.plan.plan import Cost, is_out_of_memory, most_rows, plan
from dsmath.plan.roofline import flops, roofline
from tests.cli.test_main import TINY, dsmath
from tests.train.conftest import CONFIG

# Of the small step, on a chip: libtpu 0.0.42.1 with jax 0.10.2.
PEAK_BYTES, COLLECTIVE_BYTES, MOVED_BYTES = 78_814_720, 136_480_936, 275_091_928

TRAIN = dataclasses.replace(CONFIG.train, batch_rows=16, microbatches=None)
UNKNOWN = {field.name: None for field in dataclasses.fields(Cost)}


@pytest.fixture(scope="module")
def compiled() -> dict:
    """What tests/plan/slice.py prints."""
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("no libtpu: pip install -e '.[plan]'")
    command = [sys.executable, "-m", "tests.plan.slice"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_tpu_compilers_loops_are_read(compiled):
    assert compiled["loop"]["count"] == {"all-reduce": 7, "collective-permute": 1}
    assert compiled["loop"]["bytes"] == {"all-reduce": 7 * 4096, "collective-permute": 4096}
    assert compiled["loop"]["unread_loops"] == compiled["small"]["unread_loops"] == []


def test_the_bytes_of_a_small_slice_have_not_grown(compiled):
    """What makes them less is welcome, and lowers the figures above."""
    small = compiled["small"]
    assert (small["chips"], small["rows_per_chip"], small["microbatches"], small["fits"]) == (4, 1, 2, True)
    assert 0.8 < small["peak_bytes"] / PEAK_BYTES < 1.02
    assert 0.8 < small["collective_bytes"] / COLLECTIVE_BYTES < 1.02
    assert 0.5 < small["moved_bytes"] / MOVED_BYTES < 1.05


def test_decoding_takes_its_weights_and_its_pages_and_copies_none_of_them(compiled):
    found = compiled["decoding"]
    parameters = 2 * 4096 * 512 + 4 * (4 * 512 * 512 + 3 * 512 * 1024 + 2 * 512) + 512
    split = 4 * (4 * 512 * 512 + 3 * 512 * 1024) + 2 * 4096 * 512
    assert found["weight_bytes"] == 2 * (parameters - split + split // 4)
    slots, length, of_a_token = 1024, 512, 4 * 2 * 128 * 2  # layers, keys and values, one head, bf16
    assert found["pool_tokens"] == slots * length
    wanted = found["weight_bytes"] + slots * length * of_a_token
    assert wanted <= found["argument_bytes"] < 1.02 * wanted
    assert (found["fits"], found["whole_cache_copies"]) == (True, 0)
    assert found["sequences"] == slots * length // 768
    live = found["sequences"] * 600 * of_a_token
    assert found["step_s_floor"] == pytest.approx((found["weight_bytes"] + live) / 819e9)


def test_copies_of_pages_are_seen_where_there_are_some(compiled):
    """Few pages are moved into the memory within a chip and back, by the group's loop and by the step's."""
    assert compiled["decoding_few"]["whole_cache_copies"] == 2 * 4 * 2


def test_decoding_on_the_devices_at_hand_has_a_copy_of_the_weights_for_each_step_along_data():
    settings = dataclasses.replace(CONFIG, mesh=Mesh(data=4, fsdp=2, tensor=1))
    found = decoding.plan(settings, topology.LOCAL)
    assert (found["chips"], found["replicas"], found["fits"]) == (8, 4, True)
    assert found["peak_bytes"] > found["weight_bytes"]
    none = dataclasses.replace(settings, eval=dataclasses.replace(CONFIG.eval, pool_share=0.0))
    found = decoding.plan(none, topology.LOCAL)
    assert (found["fits"], found["sequences"], found["peak_bytes"]) == (False, 0, None)
    assert "room for 0 tokens" in found["refusal"]


def test_a_reduce_scatter_that_the_tpu_compiler_prints_as_an_all_reduce_is_one(compiled):
    """Two microbatches of 8 chunks of the head, and of 4 layers with a few weights each."""
    assert 2 * (8 + 4) <= compiled["small"]["collectives"]["reduce-scatter"]["count"] < 2 * (8 + 4 * 7)


def test_arguments_are_a_chips_part_of_parameters_and_moments_and_its_rows(compiled):
    small, parameters = compiled["small"], 2 * 4096 * 512 + 4 * (4 * 512**2 + 3 * 512 * 1024)
    norms = (2 * 4 + 1) * 512  # these are whole everywhere
    batch = 2 * 512 * (3 * 4 + 4 + 4 + 1)  # two rows: tokens, positions, segments; targets, weights; trained
    by_hand = 3 * 4 * (parameters / 4 + norms) + batch
    assert small["argument_bytes"] == pytest.approx(by_hand, rel=0.01)  # small arrays are padded


def test_what_does_not_fit_is_an_answer_with_the_compilers_words(compiled):
    refused = compiled["too_large"]
    assert not refused["fits"]
    assert "HBM" in refused["refusal"] or "hbm" in refused["refusal"]
    assert refused["argument_bytes"] == pytest.approx(compiled["small"]["argument_bytes"], rel=0.01)
    assert refused["collective_bytes"] is refused["hours"] is refused["most"] is None


@pytest.mark.parametrize(
    ("message", "is_one"),
    [
        ("RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries (20.43G) exceeds "
         "available HBM (15.75G).", True),
        ("RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. Used 15.76G of "
         "15.75G hbm. Exceeded hbm capacity by 6.20M.", True),
        ("RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem. Used 17.1M of 16.0M vmem.", False),
        ("INTERNAL: RET_CHECK failure in hbm assignment", False),
    ],
)  # fmt: skip
def test_only_the_chips_main_memory_can_be_too_small(message, is_one):
    assert is_out_of_memory(jax.errors.JaxRuntimeError(message)) is is_one


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 7, 8, 16])
@pytest.mark.parametrize("asked", [1, 4, 16])
def test_the_most_rows_that_fit_are_found_from_wherever_the_config_begins(limit, asked):
    tried = []

    def cost(train):
        tried.append(train.rows_per_device)
        return Cost(**UNKNOWN | {"rows_per_chip": train.rows_per_device, "fits": train.rows_per_device <= limit})

    first = cost(dataclasses.replace(TRAIN, rows_per_device=asked))
    most = most_rows(first, TRAIN, 16, cost)
    assert (most and most.rows_per_chip) == max((size for size in (1, 2, 4, 8, 16) if size <= limit), default=None)
    assert len(tried) == len(set(tried))


def test_on_the_devices_at_hand_a_step_takes_what_its_shapes_say():
    settings = dataclasses.replace(CONFIG, mesh=Mesh(data=1, fsdp=-1, tensor=1), train=TRAIN)
    found = plan(settings, topology.LOCAL)
    parameters = 384 * 16 + 2 * (2 * 4 * 4 * 16 + 2 * 2 * 4 * 16 + 3 * 32 * 16)
    assert (found["chips"], found["rows_per_chip"], found["microbatches"], found["fits"]) == (8, 1, 2, True)
    assert found["argument_bytes"] > 3 * 4 * parameters / 8
    assert found["peak_bytes"] > found["argument_bytes"]
    assert found["most"]["rows_per_chip"] == 2
    assert found["most"]["collective_bytes"] < found["collective_bytes"]
    assert found["hours"] is None  # of a CPU nothing is known


def test_flops_of_the_7b_are_those_of_its_matrices_and_its_attention():
    arch = Arch(102_400, 4096, 11_008, 30, 32, 32, 128, 1e4, 1e-6, False, 4096)
    once, again = flops(arch, (256, 4096), "full")
    layers, head, attention = 30 * (4 * 4096**2 + 3 * 4096 * 11_008), 102_400 * 4096, 30 * 4096 * 4096
    assert once == 256 * 4096 * 6 * (layers + head + attention) == pytest.approx(4.40e16, rel=0.001)
    assert again == 256 * 4096 * 2 * (layers + attention)
    assert once + again == pytest.approx(5.78e16, rel=0.001)
    assert flops(arch, (256, 4096), "attention")[1] == 256 * 4096 * 2 * layers
    assert flops(arch, (256, 4096), "dots")[1] == 0


def test_flops_of_attention_are_those_of_the_keys_that_a_window_leaves():
    arch = Arch(102_400, 4096, 11_008, 30, 32, 32, 128, 1e4, 1e-6, False, 4096)
    row, window = 4096, 1024
    seen = sum(min(t + 1, window) for t in range(row)) / row
    wide, narrow = (flops(dataclasses.replace(arch, window=w), (1, row), "full") for w in (None, window))
    assert wide[0] - narrow[0] == pytest.approx(row * 12 * 30 * 4096 * (row / 2 - seen), rel=1e-3)
    assert wide[1] - narrow[1] == pytest.approx(row * 4 * 30 * 4096 * (row / 2 - seen), rel=1e-3)
    assert flops(dataclasses.replace(arch, window=9999), (1, row), "full") == wide


def test_a_step_takes_as_long_as_its_longest_part_at_least():
    chip = chips.Chip("toy", (), peak_flops=10.0, hbm_bytes=1, hbm_bandwidth=4.0, link_bandwidth=2.0)
    times = roofline(chip, 3, total_flops=60.0, hbm_bytes=20.0, sent_bytes=6.0)
    assert times == (2.0, 5.0, 3.0)
    assert (times.step_s, times.serial_s) == (5.0, 10.0)


def test_every_chip_is_known_by_the_names_that_jax_gives_it():
    kinds = [kind for chip in chips.CHIPS for kind in chip.device_kinds]
    assert len(kinds) == len(set(kinds))
    assert chips.of_kind("TPU v5 lite").name == "v5e"
    assert chips.of_kind("cpu") is None
    assert all(math.isfinite(value) and value > 0 for chip in chips.CHIPS for value in chip[2:])


def test_without_libtpu_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"libtpu.*\.\[plan\]"):
        topology.devices("v5e:2x2")


def test_the_verb_prints_a_list_of_what_it_found():
    done = dsmath("plan", "--config", TINY, "--topology", "local", "--json", "--config.train.microbatches=1")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    (found,) = json.loads(done.stdout)
    assert (found["topology"], found["rows_per_chip"], found["most"]["rows_per_chip"]) == ("local", 4, 4)
    assert "peak with arguments" in done.stderr
