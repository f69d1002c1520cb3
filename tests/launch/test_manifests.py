"""Manifests hold what their published schemas require, no field that they lack, and what the exit codes ask for."""

import subprocess
from typing import Any

import pytest
import yaml

from tests.launch.conftest import ROOT
from tests.launch.examples import FLAGS, TRAIN, VERB

# Of each object: the fields that are required, then those that we use. JobSet: the CRD jobset.x-k8s.io_jobsets.yaml of
# kubernetes-sigs/jobset, v1alpha2; batch/v1 and core/v1: the API reference of Kubernetes. `.` goes into an object, `[]`
# into every item of a list.
JOBSET: dict[str, tuple[set[str], set[str]]] = {
    "": ({"apiVersion", "kind", "metadata", "spec"}, set()),
    ".metadata": ({"name"}, {"annotations"}),
    ".spec": ({"replicatedJobs"}, {"failurePolicy"}),
    ".spec.failurePolicy": (set(), {"maxRestarts", "rules"}),
    ".spec.failurePolicy.rules[]": ({"action", "name"}, {"onJobFailureReasons"}),
    ".spec.replicatedJobs[]": ({"name", "template"}, {"replicas"}),
    ".spec.replicatedJobs[].template": ({"spec"}, set()),
    ".spec.replicatedJobs[].template.spec": (
        {"template"},
        {"parallelism", "completions", "completionMode", "backoffLimit", "podFailurePolicy"},
    ),
    ".spec.replicatedJobs[].template.spec.podFailurePolicy": ({"rules"}, set()),
    ".spec.replicatedJobs[].template.spec.podFailurePolicy.rules[]": ({"action"}, {"onExitCodes"}),
    ".spec.replicatedJobs[].template.spec.podFailurePolicy.rules[].onExitCodes": (
        {"operator", "values"},
        {"containerName"},
    ),
    ".spec.replicatedJobs[].template.spec.template": ({"spec"}, set()),
    ".spec.replicatedJobs[].template.spec.template.spec": (
        {"containers", "restartPolicy"},  # restartPolicy: a podFailurePolicy requires Never
        {"terminationGracePeriodSeconds", "shareProcessNamespace", "hostNetwork", "dnsPolicy", "serviceAccountName"}
        | {"nodeSelector"},
    ),
    ".spec.replicatedJobs[].template.spec.template.spec.containers[]": (
        {"name", "image"},
        {"command", "env", "securityContext", "resources"},
    ),
    ".spec.replicatedJobs[].template.spec.template.spec.containers[].env[]": ({"name"}, {"value"}),
    ".spec.replicatedJobs[].template.spec.template.spec.containers[].securityContext": (set(), {"privileged"}),
    ".spec.replicatedJobs[].template.spec.template.spec.containers[].resources": (set(), {"limits", "requests"}),
}
# Objects whose keys are anybody's.
FREE = ("annotations", "nodeSelector", "limits", "requests")

# get_task_schema and get_resources_schema of sky/utils/schemas.py, SkyPilot 0.14; all of it is optional.
TASK = {
    "": (set(), {"name", "workdir", "num_nodes", "resources", "envs", "setup", "run"}),
    ".resources": (set(), {"accelerators", "use_spot", "job_recovery"}),
    ".resources.job_recovery": (set(), {"max_restarts_on_errors", "recover_on_exit_codes"}),
    ".envs": (set(), {"DSMATH_COMMAND", "DSMATH_EXTRA"}),
}


def faults(value: Any, schema: dict[str, tuple[set[str], set[str]]], path: str = "") -> list[str]:
    """Where a document lacks a required field or has one that the schema doesn't know."""
    if isinstance(value, list):
        return [fault for item in value for fault in faults(item, schema, f"{path}[]")]
    if not isinstance(value, dict) or path.endswith(FREE):
        return []
    required, known = schema.get(path, (set(), set()))
    found = [f"{path}.{name} is missing" for name in sorted(required - set(value))]
    found += [f"{path}.{name} is unknown" for name in sorted(set(value) - required - known)]
    return found + [fault for name, item in value.items() for fault in faults(item, schema, f"{path}.{name}")]


def submitted(desk, *flags: str, without: str = "") -> dict[str, Any]:
    example = [flag for flag in FLAGS["gke.sh"] if flag != without]
    done = desk.run("gke.sh", *example, *flags, *VERB)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load((desk.folder / "manifest").read_text())


def pod_of(jobset: dict[str, Any]) -> dict[str, Any]:
    return jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]


def test_the_jobset_has_the_required_fields_and_no_unknown_one(desk):
    assert faults(submitted(desk), JOBSET) == []


def test_a_missing_and_an_unknown_field_are_found(desk):
    jobset = submitted(desk)
    del jobset["spec"]["failurePolicy"]["rules"][0]["name"]
    pod_of(jobset)["containers"][0]["resource"] = {}
    assert [fault.rpartition(".")[2] for fault in faults(jobset, JOBSET)] == ["name is missing", "resource is unknown"]


@pytest.mark.parametrize(
    ("flags", "slices", "hosts", "chips"),
    [
        ([], 2, 4, 4),
        (["--slices=1"], 1, 4, 4),
        (["--accelerator=tpu-v5-lite-podslice", "--topology=4x4"], 2, 4, 4),
        (["--accelerator=tpu-v5-lite-podslice", "--topology=2x4", "--chips-per-host=8"], 2, 1, 8),
    ],
)
def test_there_is_a_job_for_each_slice_and_a_pod_for_each_host(desk, flags, slices, hosts, chips):
    jobset = submitted(desk, *flags)
    (replicated,) = jobset["spec"]["replicatedJobs"]
    job = replicated["template"]["spec"]
    assert (replicated["replicas"], job["parallelism"], job["completions"]) == (slices, hosts, hosts)
    (container,) = pod_of(jobset)["containers"]
    assert container["resources"] == {kind: {"google.com/tpu": chips} for kind in ("limits", "requests")}
    topology = flags[1].partition("=")[2] if len(flags) > 1 else "2x2x4"
    assert pod_of(jobset)["nodeSelector"]["cloud.google.com/gke-tpu-topology"] == topology


def test_2_fails_the_jobset_and_all_else_restarts_it_within_its_bound(desk):
    spec = submitted(desk, "--retries=7")["spec"]
    (rule,) = spec["failurePolicy"]["rules"]
    assert (spec["failurePolicy"]["maxRestarts"], rule["action"]) == (7, "FailJobSet")
    job = spec["replicatedJobs"][0]["template"]["spec"]
    (exits,) = job["podFailurePolicy"]["rules"]
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]  # the reason with which FailJob fails a Job
    assert exits["onExitCodes"] == {"containerName": "dsmath", "operator": "In", "values": [2]}
    assert (exits["action"], job["backoffLimit"]) == ("FailJob", 0)  # with no retry of its own, a Job fails on all else
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_the_container_gets_the_words_of_the_command_unchanged(desk):
    """Kubernetes reads $(NAME) as a variable and $$ as $."""
    (container,) = pod_of(submitted(desk))["containers"]
    assert [word.replace("$$(", "$(") for word in container["command"]] == TRAIN
    assert [word for word in container["command"] if "$(" in word.replace("$$(", "")] == []


def test_spot_nodes_are_asked_for_with_spot_alone(desk):
    spot = "cloud.google.com/gke-spot"
    assert pod_of(submitted(desk))["nodeSelector"][spot] == "true"
    assert spot not in pod_of(submitted(desk, without="--spot"))["nodeSelector"]


def task() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "launch" / "skypilot.yaml").read_text())


def test_the_skypilot_task_has_no_unknown_field_and_recovers_on_75_alone():
    assert faults(task(), TASK) == []
    recovery = task()["resources"]["job_recovery"]
    assert recovery == {"max_restarts_on_errors": 0, "recover_on_exit_codes": [75]}


@pytest.mark.parametrize("device", ["gpu", "tpu"])
def test_a_skypilot_node_starts_the_command_with_its_place_among_the_nodes(desk, device):
    assert desk.run("skypilot.sh", *FLAGS["skypilot.sh"], *VERB).returncode == 0
    (call,) = desk.forget()
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {call}"], capture_output=True, text=True, check=True).stdout
    (command,) = [w.partition("=")[2] for w in words.split("\0") if w.startswith("DSMATH_COMMAND=")]
    node = {"SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2", "SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": "1"}
    desk.paste(task()["run"], DSMATH_COMMAND=command, DSMATH_EXTRA=device, **node)
    (started,) = desk.forget()
    subprocess.run([desk.folder / "bin" / "dsmath", *TRAIN[1:]], env=desk.environment, check=True)
    place = "JAX_COORDINATOR_PORT=8476" if device == "tpu" else "10.0.0.1:8476 1 of 2"
    assert [started] == [f"{plain} {place}" for plain in desk.calls()]
