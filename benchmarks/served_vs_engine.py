"""Greedy texts over HTTP against those of the engine: SmolLM2-135M-Instruct, f32, behind `transformers serve`.

    pip install 'transformers[serving]'
    python benchmarks/served_vs_engine.py --data_dir D [--problems 20] [--max_new 128] [--out FOLDER]

The model is exported by `dsmath convert`; both sides are asked by `dsmath evaluate`, on the first GSM8K test problems:
the engine, the completions API in both modes with our template, and the chat API in mode cot, where the server lays out
the same prompt by the exported chat template. Prints how many responses are the same to the letter. Over HTTP a
response goes on from its text, which the server tokenises anew, in the engine from the ids that were sampled: where
these differ, so may what follows. The folder keeps journals, so that a second start goes on.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from dsmath import runs

CONFIG = """
from dsmath import recipes

def get_config():
    evaluation = recipes.evaluation("gsm8k", max_new={max_new}, limit={problems}, grader="reference")
    return recipes.experiment(
        mesh=recipes.mesh(), start=recipes.start("smollm2", template="chatml"), model=recipes.smollm2_135m(),
        eval=evaluation, sandbox=recipes.sandbox(),
    )
"""
STARTS_WITHIN_S = 300


def dsmath(verb: str, *args: str) -> None:
    """Run a verb as a user does."""
    subprocess.run([sys.executable, "-m", "dsmath.cli.main", verb, *args], check=True, stdout=sys.stderr)


@contextlib.contextmanager
def served(model: Path, port: int) -> Iterator[str]:
    """The base URL of a `transformers serve`."""
    command = [shutil.which("transformers", path=Path(sys.executable).parent) or "transformers", "serve", str(model)]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--device", "cpu", "--dtype", "float32"],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=sys.stderr,
    )
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not _is_up(f"http://localhost:{port}/health"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("transformers serve did not start; its output is above")
            time.sleep(0.5)
        yield f"http://localhost:{port}/v1"
    finally:
        process.kill()
        process.wait()


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def responses(workdir: Path, mode: str) -> dict[str, tuple[str, str, int]]:
    """The text, the stop and the number of programs of each problem."""
    path = runs.Run(workdir).evaluation(0, "gsm8k", mode, "reference").trajectories
    records = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {
        r["id"]: ("".join(piece["text"] for piece in r["response"]), r["stop"], len(r["programs"])) for r in records
    }


def show(what: str, ours: dict[str, tuple[str, str, int]], theirs: dict[str, tuple[str, str, int]]) -> None:
    """One line, and where each pair of texts that differs begins to."""
    same = [id for id, response in ours.items() if theirs[id] == response]
    programs = sum(count for _, _, count in theirs.values())
    print(f"{what}: {len(same)} of {len(ours)} the same, {programs} programs ran")
    for id in sorted(ours.keys() - set(same)):
        (one, one_stop, _), (other, other_stop, _) = ours[id], theirs[id]
        at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        print(f"  {id}: from character {at} of {len(one)} ({one_stop}) and {len(other)} ({other_stop})")


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--problems", type=int, default=20)
    parser.add_argument("--max_new", type=int, default=128)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        out = args.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        out.mkdir(parents=True, exist_ok=True)
        config = out / "greedy.py"
        config.write_text(CONFIG.format(max_new=args.max_new, problems=args.problems))
        asked = ("--config", str(config), "--data_dir", args.data_dir)
        model = out / "model"
        if not model.exists():
            run = ("--config", str(config), "--workdir", str(out / "run"), "--step", "0", "--dtype", "float32")
            dsmath("convert", *run, "--out", str(model))
        dsmath("evaluate", "--weights", str(model), *asked, "--workdir", str(out / "engine"))
        url = stack.enter_context(served(model, args.port))
        server = ("--server", url, "--model", str(model), *asked, "--concurrency", "2")
        completions = ("--api", "completions", "--template", "chatml", "--workdir", str(out / "completions"))
        dsmath("evaluate", *server, *completions)
        dsmath("evaluate", *server, "--modes", "cot", "--workdir", str(out / "chat"))
        show("completions, cot", responses(out / "engine", "cot"), responses(out / "completions", "cot"))
        show("completions, tool", responses(out / "engine", "tool"), responses(out / "completions", "tool"))
        show("chat, cot", responses(out / "engine", "cot"), responses(out / "chat", "cot"))


if __name__ == "__main__":
    main()
