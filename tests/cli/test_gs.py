"""A run on gs:// is the run on a local folder: the verbs real processes before a server that speaks Cloud Storage."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_evaluate import command, dsmath, without_times
from tests.conftest import ROOT
from tests.train.processes import TIMES

BUCKET = "bucket"
WORKDIR = f"gs://{BUCKET}/runs/tiny"
WITHIN_S = 120  # far more than it takes: what hangs fails


class Storage:
    """The server, and the environment of processes that take it for Cloud Storage."""

    def __init__(self, cache: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        line = [sys.executable, "-m", "tests.cli.cloud_storage", str(port), BUCKET]
        self._process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.environment = os.environ | {
            "STORAGE_EMULATOR_HOST": self._url,  # gcsfs's
            "TENSORSTORE_GCS_HTTP_URL": self._url,
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "any",  # tensorstore's
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # would ask Google what kind of bucket it is
            "NO_PROXY": "127.0.0.1",
            "XDG_CACHE_HOME": str(cache),
        }
        for _ in range(1000):
            try:
                self.read("")
            except urllib.error.URLError:
                time.sleep(0.01)
            else:
                break

    def read(self, name: str) -> bytes | None:
        """A file of the run, None if it isn't there."""
        path = urllib.parse.quote(f"runs/tiny/{name}", safe="")
        try:
            with urllib.request.urlopen(f"{self._url}/storage/v1/b/{BUCKET}/o/{path}?alt=media") as answer:
                return answer.read()
        except urllib.error.HTTPError as e:
            if e.code != 404:
                raise
            return None

    def dsmath(self, verb: str, *args: str) -> dict:
        """A verb on WORKDIR, to its end."""
        return self.ended(self.start(verb, *args))

    def start(self, verb: str, *args: str) -> subprocess.Popen:
        """A verb on WORKDIR."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command(verb, WORKDIR, *args), env=self.environment, **pipes)

    def ended(self, process: subprocess.Popen) -> dict:
        """Its result."""
        stdout, stderr = process.communicate(timeout=WITHIN_S)
        assert process.returncode == 0, stderr
        return json.loads(stdout.splitlines()[-1])

    def killed_at(self, name: str, verb: str, *args: str) -> None:
        """A verb that is killed when a file of the run appears."""
        process, begun = self.start(verb, *args), time.monotonic()
        while self.read(name) is None and process.poll() is None and time.monotonic() - begun < WITHIN_S:
            time.sleep(0.005)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL

    def stop(self) -> None:
        """End it; all files are gone."""
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Iterator[Storage]:
    pytest.importorskip("gcsfs")
    server = Storage(tmp_path_factory.mktemp("cache"))
    yield server
    server.stop()


def metrics(lines: bytes) -> list[dict]:
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines.splitlines()]


def test_a_run_on_gs_that_is_killed_and_goes_on_is_the_run_on_a_local_folder(storage, tmp_path):
    local = tmp_path / "tiny"
    prepared, expected = storage.dsmath("prepare"), dsmath("prepare", local)
    assert prepared["sources"] == expected["sources"]
    assert prepared["sha256"].keys() == expected["sha256"].keys()
    storage.killed_at("checkpoints/2/commit_success.txt", "train")
    assert storage.dsmath("train")["step"] == dsmath("train", local)["step"] == 4
    assert metrics(storage.read("metrics.jsonl")) == metrics((local / "metrics.jsonl").read_bytes())

    storage.killed_at("evals/4/embedded-tool/trajectories.jsonl", "evaluate")
    summaries, expected = (found["summaries"] for found in (storage.dsmath("evaluate"), dsmath("evaluate", local)))
    assert list(map(without_times, summaries)) == list(map(without_times, expected))
    assert storage.dsmath("score")["summaries"] == summaries
    storage.dsmath("report")
    assert b"Accuracy" in storage.read("report/results.md")


def test_without_gcsfs_a_path_on_gs_is_one_line():
    code = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "gcsfs" else found(name, *rest)
from dsmath.cli.main import main
main()
"""
    line = [sys.executable, "-c", code, "report", "--workdir", WORKDIR]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "dsmath[gcs]" in done.stderr.splitlines()[-1]
