"""Fixtures of the whole suite. Virtual devices and the cache of compiled programs are set before jax is imported."""

import os
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # one for all processes of this run, which begins empty
    CACHE = tempfile.TemporaryDirectory(prefix="dsmath-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

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
