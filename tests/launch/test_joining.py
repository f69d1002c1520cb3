"""What each launcher sets makes a process join the others: the first line of a run on many hosts."""

import jax
import pytest

from dsmath import runtime

SEVERAL = {
    "local.sh": {"JAX_COORDINATOR_ADDRESS": "127.0.0.1:8476", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"},
    "tpu_vm.sh": {"JAX_COORDINATOR_PORT": "8476"},  # the rest is in the metadata of the VM
    "gke.sh": {"JAX_COORDINATOR_PORT": "8476", "TPU_WORKER_HOSTNAMES": "a", "MEGASCALE_NUM_SLICES": "2"},
    "slurm.sh": {"SLURM_NTASKS": "16", "SLURM_PROCID": "3"},
    "skypilot.sh": {"JAX_COORDINATOR_ADDRESS": "10.0.0.1:8476", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0"},
}
ALONE = [{}, {"SLURM_NTASKS": "1"}, {"TPU_WORKER_HOSTNAMES": "localhost"}]


@pytest.fixture
def joined(monkeypatch) -> list[dict]:
    """The calls of jax.distributed.initialize, which waits for the others: test_local.py has it really do so."""
    calls: list[dict] = []
    names = {name for environment in SEVERAL.values() for name in environment}
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jax.distributed, "initialize", lambda **place: calls.append(place))
    return calls


@pytest.mark.parametrize("script", SEVERAL)
def test_a_process_joins_the_others_that_its_launcher_started(monkeypatch, joined, script):
    for name, value in SEVERAL[script].items():
        monkeypatch.setenv(name, value)
    runtime.start()
    told = "JAX_PROCESS_ID" in SEVERAL[script]
    (place,) = joined
    assert place["num_processes"] == (2 if told else None)


@pytest.mark.parametrize("environment", ALONE)
def test_a_process_that_is_alone_waits_for_nobody(monkeypatch, joined, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    runtime.start()
    assert joined == []
