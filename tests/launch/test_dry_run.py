"""A dry run prints exactly what would run, so that it can be pasted, and what that costs."""

import re

import pytest

from tests.launch.conftest import ROOT
from tests.launch.examples import CHIPS, FLAGS, VERB

# Two slices or processes at once come in any order.
TOGETHER = {"local.sh", "tpu_vm.sh"}


@pytest.mark.parametrize("script", FLAGS)
def test_a_dry_run_calls_nothing_and_what_it_prints_is_what_a_run_calls(desk, script):
    dry = desk.run(script, *FLAGS[script], "--dry-run", *VERB)
    assert (dry.returncode, dry.stderr) == (0, "")
    assert [call for call in desk.calls() if not call.startswith("git ")] == []
    assert list((desk.folder / "tmp").iterdir()) == []

    run = desk.run(script, *FLAGS[script], *VERB)
    assert run.returncode == 0, run.stderr
    called, given = desk.forget(), manifest(desk)
    assert called != []

    desk.paste(dry.stdout)
    pasted = desk.forget()
    assert (sorted(pasted) if script in TOGETHER else pasted) == (sorted(called) if script in TOGETHER else called)
    assert manifest(desk) == given


def manifest(desk) -> str:
    path = desk.folder / "manifest"
    return path.read_text() if path.exists() else ""


def test_several_slices_are_created_as_one_and_each_is_started(desk):
    dry = desk.run("tpu_vm.sh", *FLAGS["tpu_vm.sh"], "--slices=2", "--dry-run", *VERB)
    run = desk.run("tpu_vm.sh", *FLAGS["tpu_vm.sh"], "--slices=2", *VERB)
    assert run.returncode == 0, run.stderr
    called = desk.forget()
    assert len([call for call in called if call.startswith("dsmath train")]) == 2
    assert [c for c in called if "queued-resources create sft --node-count=2 --node-prefix=sft" in c] != []
    desk.paste(dry.stdout)
    assert sorted(desk.forget()) == sorted(called)


@pytest.mark.parametrize(("script", "chips"), CHIPS.items())
def test_the_cost_is_chips_times_hours_times_price(desk, script, chips):
    flags = FLAGS[script]
    priced = desk.run(script, *flags, "--hours", "2.5", "--price=1.10", "--dry-run", *VERB).stdout
    assert f"# cost: {chips} chips x 2.5 h x 1.10 a chip hour = {chips * 2.5 * 1.1:.2f}\n" in priced
    unpriced = desk.run(script, *flags, "--dry-run", *VERB).stdout
    assert f"# cost: {chips} chips x HOURS h x PRICE a chip hour" in unpriced


@pytest.mark.parametrize(
    ("kind", "chips"), [("v4-32", 16), ("v5p-16", 8), ("v5litepod-16", 16), ("v6e-8", 8), ("v3-8", 4)]
)
def test_a_tpu_type_is_named_by_its_cores_or_by_its_chips(desk, kind, chips):
    flags = ["--name=a", "--zone=z", "--runtime-version=r", f"--accelerator-type={kind}"]
    assert f"# cost: {chips} chips" in desk.run("tpu_vm.sh", *flags, "--dry-run", *VERB).stdout
    assert f"# cost: {chips} chips" in desk.run("skypilot.sh", f"--accelerators=tpu-{kind}", "--dry-run", *VERB).stdout


@pytest.mark.parametrize("script", FLAGS)
def test_the_example_in_the_help_is_accepted(desk, script):
    shown = desk.run(script, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    example = re.search(r"^example: ((?:.*\\\n)*.*)", shown.stdout, re.MULTILINE)[1]
    line = example.replace("launch/", f"{ROOT}/launch/").replace("PRICE", "1").replace(" -- ", " --dry-run -- ", 1)
    desk.paste(f"set -e; {line}")
    if script == "slurm.sbatch":
        assert re.fullmatch(r"sbatch .*/slurm.sbatch --dry-run -- dsmath train .*", desk.forget()[-1])
    else:
        assert desk.forget() == []


WRONG = [
    ("local.sh", [], "no command"),
    ("local.sh", ["--processes=two", "--", "true"], "--processes two: expected a whole number"),
    ("local.sh", ["--processes", "0", "--", "true"], "--processes 0: expected 1 or more"),
    ("local.sh", ["--processes"], "--processes lacks its value"),
    ("local.sh", ["--hosts=2", "--", "true"], "no flag '--hosts=2'"),
    ("local.sh", ["dsmath", "train"], "unexpected argument 'dsmath'"),
    ("tpu_vm.sh", VERB, "--name is missing"),
    ("tpu_vm.sh", ["--spot=yes", *VERB], "--spot takes no value"),
    (
        "tpu_vm.sh",
        ["--name=a", "--zone=z", "--accelerator-type=h100-8", "--runtime-version=r", *VERB],
        "TPU type h100-8",
    ),
    (
        "tpu_vm.sh",
        ["--name=a", "--zone=z", "--accelerator-type=v4-8", "--runtime-version=r", "--ref=no-such", *VERB],
        "--ref no-such: expected a commit",
    ),
    ("gke.sh", ["--name=A", "--image=i", "--accelerator=a", "--topology=4x4", *VERB], "--name A: expected"),
    ("gke.sh", ["--name=a", "--image=i", "--accelerator=a", "--topology=4", *VERB], "--topology 4: expected"),
    ("gke.sh", ["--name=a", "--image=i", "--accelerator=a", "--topology=1x1", *VERB], "1 chips; expected a multiple"),
    ("gke.sh", ["--name=a", "--image=i\n", "--accelerator=a", "--topology=4x4", *VERB], "control character"),
    ("gke.sh", ["--name=a", "--image=i", "--accelerator=a", "--topology=4x4", "--", "a\nb"], "control character"),
    ("slurm.sh", ["--nodes=1", "--gpus-per-node=8", *VERB], "--time is missing"),
    ("slurm.sh", ["--nodes=1", "--gpus-per-node=8", "--time=1:00:00", "--price=cheap", *VERB], "--price cheap"),
    ("slurm.sh", ["--nodes=1", "--gpus-per-node=8", "--time=soon", *VERB], "--time soon: expected one like"),
    ("slurm.sh", ["--nodes=1", "--gpus-per-node=8", "--time=19:59", *VERB], "expected twice --grace 600 s"),
    ("slurm.sbatch", [], "no command"),
    ("slurm.sbatch", ["--retries"], "--retries lacks its value"),
    ("skypilot.sh", ["--accelerators=H100", *VERB], "--accelerators H100: expected"),
    ("skypilot.sh", ["--accelerators=tpu-v6e-8", "--nodes=2", *VERB], "--nodes 2: expected 1 with a TPU slice"),
]


@pytest.mark.parametrize(("script", "args", "message"), WRONG)
def test_a_wrong_call_is_one_line_and_status_2_and_starts_nothing(desk, script, args, message):
    done = desk.run(script, *args)
    assert (done.returncode, done.stdout) == (2, "")
    *before, last = done.stderr.splitlines()
    assert last.startswith(f"{script}: ")
    assert message in last
    assert before == [] or "no-such" in done.stderr  # git has its say
    assert [call for call in desk.calls() if not call.startswith("git ")] == []
