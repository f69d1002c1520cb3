"""The import table of docs/architecture.md holds."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ANYONE = {"config", "error", "journal", "records", "runs", "runtime", "storage"}
ROW = re.compile(r"^\| `dsmath/(\w+)(?:\.py)?` \|[^|]*\| ([^|]*) \|$", re.MULTILINE)


def table() -> dict[str, set[str]]:
    text = (ROOT / "docs" / "architecture.md").read_text()
    return {room: set(re.findall(r"\w+", allowed)) for room, allowed in ROW.findall(text)}


def room_of(module: str) -> str | None:
    """The room of a dotted module name, None for one outside the package or the package itself."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "dsmath" and rest else None


def arrows() -> list[tuple[str, str, str]]:
    """(file, importing room, imported room) of every import in the package, also those inside functions."""
    found = []
    for path in sorted((ROOT / "dsmath").rglob("*.py")):
        room = path.relative_to(ROOT / "dsmath").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            found += [(str(path.relative_to(ROOT)), room, to) for m in modules if (to := room_of(m)) and to != room]
    return found


def test_every_room_is_in_the_table():
    rooms = {p.name.removesuffix(".py") for p in (ROOT / "dsmath").iterdir() if p.suffix == ".py" or p.is_dir()}
    assert rooms - {"__init__", "__pycache__"} == set(table())


def test_no_arrow_is_missing_from_the_table():
    allowed = table()
    extra = [
        f"{file} imports {to}" for file, room, to in arrows() if to not in ANYONE and to not in allowed.get(room, ())
    ]
    assert extra == []


@pytest.mark.parametrize("module", ["dsmath.score.scoring", "dsmath.report.table", "dsmath.cli.main", "dsmath.config"])
def test_what_needs_no_device_does_not_import_jax(module):
    code = f"import {module}, sys; print([m for m in ('jax', 'flax', 'tensorflow', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_runs_where_tensorflow_and_torch_are_not_installed():
    """tensorboardX loads torch where it finds it, so they are hidden rather than looked for afterwards."""
    code = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "torch", "transformers"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
import dsmath.data.prepared, dsmath.train.loop, dsmath.engine.engine, dsmath.model.weights
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# A training source and a suite are of one data set; a verb is named after its room; a room after its main module.
SAME_NAME = {"gsm8k", "math", "embedded", "train", "score", "report", "rollout", "engine", "plan", "systems"}


def test_no_two_modules_share_a_name_by_chance():
    paths = [path for path in (ROOT / "dsmath").rglob("*.py") if path.name != "__init__.py"]
    names = [path.stem for path in paths] + [path.parent.name for path in (ROOT / "dsmath").rglob("__init__.py")]
    shared = {name for name in names if names.count(name) > 1}
    assert shared <= SAME_NAME


def test_no_file_is_longer_than_can_be_read_in_one_go():
    long = {str(p.relative_to(ROOT)): n for p in ROOT.rglob("*.py") if ".venv" not in p.parts
            and (n := len(p.read_text().splitlines())) > 400}  # fmt: skip
    assert long == {}
