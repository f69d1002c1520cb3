"""Fixtures of the whole suite. Virtual devices are set before jax is imported."""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


BESIDE = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of published data sets: $DSMATH_DATA, or ../shared/data beside the repository.

    Where neither is there, the test is skipped; where one is said or found to be, what lacks in it is a failure.
    """
    if named := os.environ.get("DSMATH_DATA"):
        assert Path(named).is_dir(), f"DSMATH_DATA is {named}, which is no folder"
        return Path(named)
    if not BESIDE.is_dir():
        pytest.skip("no published data sets beside the repository; set DSMATH_DATA")
    return BESIDE
