"""Several processes are one program: the same batches, the same losses, each other's checkpoints."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.train import processes


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    return processes.prepare(tmp_path_factory.mktemp("multihost") / "prepared")


@pytest.fixture(scope="module")
def alone(prepared) -> Path:
    """Six steps of one process."""
    return run(prepared, prepared.with_name("alone"), (1, 6))


def run(prepared: Path, workdir: Path, *legs: tuple[int, int]) -> Path:
    """Legs of (processes, until which step), one after another on the same workdir."""
    shutil.copytree(prepared, workdir)
    for count, steps in legs:
        program = processes.start(workdir, count, f"--config.train.steps={steps}")
        assert program.wait() == [0] * count, "\n".join(map(program.said, range(count)))
    return workdir


@pytest.mark.parametrize("legs", [[(2, 6)], [(4, 2), (2, 3), (1, 4), (4, 6)]], ids=["2", "4-2-1-4"])
def test_the_losses_do_not_depend_on_the_number_of_processes(legs, prepared, alone, tmp_path):
    """But for the order in which processes sum, which differs from that of devices within one."""
    ours, theirs = processes.metrics(run(prepared, tmp_path / "run", *legs)), processes.metrics(alone)
    assert [record["step"] for record in ours] == [1, 2, 3, 4, 5, 6]
    for a, b in zip(ours, theirs, strict=True):
        assert (a["trained_tokens"], a["packing_efficiency"]) == (b["trained_tokens"], b["packing_efficiency"])
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-6)
        np.testing.assert_allclose(a["grad_norm"], b["grad_norm"], rtol=1e-5)


def test_what_one_process_refuses_ends_all_of_them_with_its_reason(prepared, alone):
    program = processes.start(alone, 2, "--config.train.steps=9", "--config.train.learning_rate=1.0")
    codes = program.wait()
    assert codes[0] == 2
    assert "begun with train.learning_rate = 0.004, now it is 1.0" in program.said(0)
    assert codes[1] not in (0, 2)
