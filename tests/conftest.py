"""Fixtures of the whole suite. Virtual devices are set before jax is imported."""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of published data sets: $DSMATH_DATA, or ../shared/data beside the repository."""
    folder = Path(os.environ.get("DSMATH_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; set DSMATH_DATA")
    return folder
