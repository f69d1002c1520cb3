"""The folder of a run: every path in it, and what must stay the same while something in it goes on.

WORKDIR/config.json                                the config that the run was begun with
WORKDIR/data/                                      the training set and its manifest
WORKDIR/trained_on.json                            the hash of the training set, once training has begun
WORKDIR/tokenizer/                                 the tokenizer, once training has begun
WORKDIR/checkpoints/STEP/                          checkpoints
WORKDIR/metrics.jsonl, tensorboard/                a line per step, and curves
WORKDIR/bad_batch.npz                              what was trained on in the step that stopped a run
WORKDIR/profile/                                   traces of steps, for xprof
WORKDIR/evals/STEP/SUITE-MODE[-PROTOCOL]/          an evaluation: see `Evaluation`
WORKDIR/evals/spent.jsonl                          what each request to a server took, under a budget
WORKDIR/annotations/STEP/MODE[-PROTOCOL]/          solutions to training problems: see `Annotation`
WORKDIR/report/                                    tables
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from dsmath import config, journal, storage
from dsmath.error import UserError

REFERENCE = "reference"  # the protocol that an evaluation's folder does not name

WHOLE = "whole"  # the last file of a folder on gs://

# What may change between a run and its continuation: what is not trained with, how long it goes on, and how the same
# sums are cut up.
FREE = (
    *("eval", "annotate", "sandbox", "mesh", "data.workers"),
    *("train.steps", "train.checkpoint_every", "train.keep_checkpoints"),
    *(
        "train.keep_every",
        "train.microbatches",
        "train.rows_per_device",
        "train.remat",
        "train.leap",
        "train.trace_step",
    ),
    *("train.eval_every", "train.eval_problems"),
)


class Run:
    """The paths of one run."""

    def __init__(self, workdir: str | os.PathLike):
        self.workdir = storage.path(workdir)
        self.config = self.workdir / "config.json"
        self.data = self.workdir / "data"
        self.trained_on = self.workdir / "trained_on.json"
        self.tokenizer = self.workdir / "tokenizer"
        self.checkpoints = self.workdir / "checkpoints"
        self.metrics = self.workdir / "metrics.jsonl"
        self.tensorboard = self.workdir / "tensorboard"
        self.bad_batch = self.workdir / "bad_batch.npz"
        self.profile = self.workdir / "profile"
        self.report = self.workdir / "report"
        self.spent = self.workdir / "evals" / "spent.jsonl"

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.workdir.name

    def evaluation(self, step: int, suite: str, mode: str, protocol: str) -> "Evaluation":
        """The evaluation of a step on a suite. A run is evaluated before, while and after it is trained."""
        name = f"{suite}-{mode}" if protocol == REFERENCE else f"{suite}-{mode}-{protocol}"
        return Evaluation(self.workdir / "evals" / str(step) / name)

    def evaluations(self) -> list["Evaluation"]:
        """Those that have a journal, by path."""
        found = map(Evaluation, sorted(self.workdir.glob("evals/*/*")))
        return [evaluation for evaluation in found if evaluation.journals()]

    def annotation(self, step: int, mode: str, protocol: str) -> "Annotation":
        """What a step writes to training problems."""
        name = mode if protocol == REFERENCE else f"{mode}-{protocol}"
        return Annotation(self.workdir / "annotations" / str(step) / name)

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Held by whoever trains. Raises UserError if another process of this machine does."""
        return journal.lock(self.workdir / "lock")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The files of an evaluation of one step on one suite, in one mode, under one protocol."""

    folder: Path

    @property
    def trajectories(self) -> Path:
        """The journal: a `records.Trajectory` per line."""
        return self.journal(0)

    def journal(self, process: int) -> Path:
        """What a process writes: the first one the journal itself, the others parts that go into it in the end."""
        return self.folder / (f"trajectories.{process}.jsonl" if process else "trajectories.jsonl")

    def journals(self) -> list[Path]:
        """The parts that are there, then the journal, if it is. A line that is moved is seen by who reads in order."""
        parts = sorted(self.folder.glob("trajectories.*.jsonl"))
        return [*parts, *([self.trajectories] if self.trajectories.exists() else [])]

    @property
    def settings(self) -> Path:
        """What the journal was begun with."""
        return self.folder / "settings.json"

    @property
    def scores(self) -> Path:
        """The verdict on each trajectory."""
        return self.folder / "scores.jsonl"

    @property
    def graders(self) -> Path:
        """The verdicts of all graders side by side."""
        return self.folder / "graders.jsonl"

    @property
    def summary(self) -> Path:
        """What the scores come to."""
        return self.folder / "summary.json"


@dataclasses.dataclass(frozen=True)
class Annotation:
    """The files of what one step wrote to training problems, in one mode, under one protocol."""

    folder: Path

    def of_source(self, name: str) -> Evaluation:
        """The journal of a source's problems, as that of an evaluation."""
        return Evaluation(self.folder / name)

    @property
    def annotated(self) -> Path:
        """The solutions that are kept; dsmath/data/sources/annotated.py says what a line holds."""
        return self.folder / "annotated.jsonl"

    @property
    def summary(self) -> Path:
        """What the samples come to."""
        return self.folder / "summary.json"


def begin(run: Run, settings: config.Config) -> None:
    """Write down the config that a run is begun with, or refuse to go on with another one.

    Of what may change, the last one stays written. A field that is newer than the run counts as its default.
    """
    now = config.dump(settings)
    if run.config.exists():
        before = config.dump(stored(run))
        require_same(run.workdir, flatten(json.loads(before)), flatten(json.loads(now)), free=FREE)
        if before == now:
            return
    journal.write(run.config, [now])


def stored(run: Run) -> config.Config:
    """The config that a run was begun with. Raises UserError if it can't be read."""
    try:
        return config.load(run.config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise UserError(f"cannot read {run.config}: {e}; mend it, or train anew in another --workdir") from e


def pin(path: Path, settings: Mapping[str, Any], *, free: Collection[str] = ()) -> None:
    """Write down the settings that something is begun with, or refuse to go on with others.

    Settings may be nested; a name in `free`, such as "eval" or "train.steps", may change with all that is below it. A
    setting that the file lacks was unknown when it was written; it is added. Raises UserError with the first one that
    differs.
    """
    now, before = flatten(settings), read_pinned(path)
    require_same(path.parent, before, now, free=free)
    wanted = {**before, **now}
    if wanted != before:
        journal.write(path, [json.dumps(wanted, ensure_ascii=False, indent=1, sort_keys=True) + "\n"])


def require_same(
    folder: Path, before: Mapping[str, Any], now: Mapping[str, Any], *, free: Collection[str] = ()
) -> None:
    """Raise UserError with the first setting, of flat ones, that isn't what `folder` was begun with.

    One that only one side has is no difference, unless the other side has settings below it.
    """
    for name in sorted(before.keys() | now.keys()):
        was, is_now = (_under(name, settings) for settings in (before, now))
        if _ABSENT in (was, is_now) or was == is_now:
            continue
        if not any(name == part or name.startswith(f"{part}.") for part in free):
            raise UserError(
                f"{folder} was begun with {name} = {was!r}, now it is {is_now!r}; set it back, or choose another "
                "folder to begin anew"
            )


_ABSENT = object()


def _under(name: str, settings: Mapping[str, Any]) -> Any:
    """A flat setting, or those below its name, of which one stands for a section."""
    if name in settings:
        return settings[name]
    below = {key.removeprefix(f"{name}."): value for key, value in settings.items() if key.startswith(f"{name}.")}
    return below or _ABSENT


def read_pinned(path: Path) -> dict[str, Any]:
    """What `pin` wrote, by dotted name; empty if nothing was. Raises UserError if the file is torn."""
    if not path.exists():
        return {}
    try:
        return flatten(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError) as e:
        raise UserError(f"cannot read {path}: {e}; mend it, or remove {path.parent} to begin anew") from e


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name, as JSON would give them back."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new local folder to write into, which replaces `folder` once all is written; nothing stays of one that was not.

    On gs:// a kill may leave a part of the files: `is_whole` tells. Raises UserError if the folder can't be made or the
    disk is full.
    """
    try:
        with storage.build_folder(folder.with_name(f"{folder.name}.{os.getpid()}.tmp")) as temporary:
            yield temporary
            storage.move_folder(temporary, folder)
            if not storage.is_local(folder):
                (folder / WHOLE).write_bytes(b"")
    except OSError as e:
        reason = e.strerror or e
        raise UserError(f"cannot write {folder}: {reason}; free some space or choose another place") from e


def is_whole(folder: Path) -> bool:
    """Whether `whole_folder` has written it."""
    return folder.is_dir() if storage.is_local(folder) else (folder / WHOLE).exists()
