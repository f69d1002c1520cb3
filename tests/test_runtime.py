"""A libtpu that is installed to compile for TPUs changes nothing about what runs where."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsmath import runtime

CHOOSE = "from dsmath import runtime; runtime.choose_platform(); import os; print(os.environ.get('JAX_PLATFORMS'))"
LIBTPU = importlib.util.find_spec("libtpu")


def said(code: str, *paths: Path, **environment: str) -> str:
    """The last line that Python prints, with these folders on its path and JAX_PLATFORMS as given, or unset."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("JAX_PLATFORMS", "TPU_SKIP_MDS_QUERY")}
    path = os.pathsep.join([*map(str, paths), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = inherited | {"PYTHONPATH": path} | environment
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture
def libtpu(tmp_path) -> Path:
    """A folder where Python finds a package of that name."""
    package = tmp_path / "libtpu"
    package.mkdir()
    (package / "__init__.py").touch()
    return tmp_path


@pytest.fixture
def gpu(tmp_path, monkeypatch) -> Path:
    """A folder that holds a plugin of jax for CUDA, on a machine that has the device for it."""
    info = tmp_path / "plugin" / "jax_cuda12_pjrt-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: jax-cuda12-pjrt\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[jax_plugins]\nxla_cuda12 = jax_plugins.xla_cuda12\n")
    monkeypatch.setattr(runtime, "_GPUS", {"cuda": (str(info),), "rocm": (str(info),)})
    return info.parent


def pci(folder: Path, *devices: tuple[str, str]) -> Path:
    """A folder as Linux keeps one of the PCI devices: (vendor, device)."""
    for i, (vendor, device) in enumerate(devices):
        (folder / f"0000:00:0{i}.0").mkdir(parents=True)
        (folder / f"0000:00:0{i}.0" / "vendor").write_text(vendor + "\n")
        (folder / f"0000:00:0{i}.0" / "device").write_text(device + "\n")
    return folder


@pytest.mark.skipif(runtime.tpu_chips() > 0, reason="this machine has a TPU")
def test_without_a_tpu_jax_is_told_to_leave_it_alone(libtpu):
    assert said(CHOOSE, libtpu) == "cpu"


def test_what_the_user_chose_stays(libtpu):
    assert said(CHOOSE, libtpu, JAX_PLATFORMS="tpu,cpu") == "tpu,cpu"
    assert said(CHOOSE, libtpu, JAX_PLATFORMS="") == ""


@pytest.mark.skipif(LIBTPU is not None, reason="libtpu is installed")
def test_without_libtpu_jax_finds_its_devices_by_itself():
    assert said(CHOOSE) == "None"


def test_on_a_machine_with_a_tpu_jax_is_left_to_find_it(libtpu, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(libtpu)
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setattr(runtime, "tpu_chips", lambda: 4)
    runtime.choose_platform()
    assert "JAX_PLATFORMS" not in os.environ


def test_a_machine_with_a_gpu_keeps_it(libtpu, gpu, monkeypatch):
    monkeypatch.setenv("TPU_SKIP_MDS_QUERY", "")
    monkeypatch.setattr(runtime, "tpu_chips", lambda: 0)
    monkeypatch.syspath_prepend(libtpu)
    monkeypatch.setattr(sys, "modules", {k: v for k, v in sys.modules.items() if k != "jax"})
    for plugin, expected in ((None, "cpu"), (gpu, "cuda,cpu")):
        monkeypatch.setenv("JAX_PLATFORMS", "")
        monkeypatch.delenv("JAX_PLATFORMS")
        if plugin:
            monkeypatch.syspath_prepend(plugin)
        runtime.choose_platform()
        assert os.environ["JAX_PLATFORMS"] == expected


def test_tpu_chips_are_counted_by_what_is_on_the_bus(tmp_path):
    google = "0x1ae0"
    assert runtime.tpu_chips(pci(tmp_path / "v5e", (google, "0x0063"), (google, "0x0063"), ("0x10de", "0x0063"))) == 2
    assert runtime.tpu_chips(pci(tmp_path / "cloud", (google, "0x0042"), ("0x8086", "0x1237"))) == 0  # a network card
    assert runtime.tpu_chips(tmp_path / "none") == 0


@pytest.mark.skipif(LIBTPU is None or runtime.tpu_chips() > 0, reason="needs libtpu (extra plan), and no TPU")
@pytest.mark.parametrize("imports", ["", "import jax; "], ids=["before jax", "after jax"])
def test_with_the_real_libtpu_a_process_runs_on_what_the_machine_has(imports):
    code = "from dsmath import runtime; runtime.choose_platform(); import jax; print(jax.default_backend())"
    assert said(imports + code) == "cpu"
