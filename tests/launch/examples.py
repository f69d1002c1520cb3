"""A call of each script without its command, the devices that it pays for, and a command that is hard to quote."""

import shlex

CALLS = {
    "local.sh": "--processes 2 --devices 4",
    "tpu_vm.sh": "--name sft --zone us-west4-a --accelerator-type v5litepod-16 --runtime-version v2-alpha-tpuv5-lite"
    " --spot --project p --create-flags '--network=n --reserved' --poll 0.1 --retries 4",
    "gke.sh": "--name sft --image eu.pkg.dev/p/r/dsmath:1 --accelerator tpu-v5p-slice --topology 2x2x4 --slices 2"
    " --spot",
    "slurm.sh": "--nodes=2 --gpus-per-node=8 --time=12:00:00 --sbatch-flags='--partition=gpu --cpus-per-task=8'",
    "slurm.sbatch": "",
    "skypilot.sh": "--accelerators H100:8 --nodes 2 --infra gcp",
}
FLAGS = {script: shlex.split(call) for script, call in CALLS.items()}
CHIPS = {"tpu_vm.sh": 16, "gke.sh": 32, "slurm.sh": 16, "skypilot.sh": 16}
TRAIN = ["dsmath", "train", "--config", "configs/sft_7b.py", "--workdir", "gs://bucket/a run", "--x='$(y)' \"z\""]
VERB = ["--", *TRAIN]
