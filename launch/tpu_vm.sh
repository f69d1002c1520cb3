#!/usr/bin/env bash
# Start a command on every host of a Cloud TPU slice, or of several, and see it through preemptions.
#
# usage: launch/tpu_vm.sh --name NAME --zone ZONE --accelerator-type TYPE --runtime-version VERSION [flags] -- COMMAND
#   --slices N              several slices train together (multislice; default 1)
#   --spot                  spot capacity, which may be taken away at any time
#   --project PROJECT       without it, gcloud's own
#   --create-flags FLAGS    more flags of `queued-resources create`, as one string: '--reserved --network=NET'
#   --ref REF               the commit of this checkout that is installed (default HEAD)
#   --keep                  leave the slice at the end; without it, it is deleted however the command ended
#   --grace SECONDS         what a process that was told to end is given to save (default 600)
#   --poll SECONDS          how often to look at the state of the request (default 30)
#   --retries N             how often to start again, on a new slice where the old one was lost (default 20)
#   --hours H --price P     for the cost: hours of the run, price of a chip hour
#   --dry-run               print what would run, and run nothing
#
# The slice is a queued resource. The command goes on when this script or its connection is lost: the same call finds
# the slice, ends what is there, and starts it again where it was. SIGTERM, SIGINT and a closed terminal reach every
# host as SIGTERM, and end the run: start it in tmux. WORKDIR has to be in a bucket.
#
# example: launch/tpu_vm.sh --name sft --zone us-west4-a --accelerator-type v5litepod-16 \
#            --runtime-version v2-alpha-tpuv5-lite --spot --hours 4 --price PRICE -- \
#            dsmath train --config configs/sft_7b.py --workdir gs://BUCKET/sft
set -euo pipefail
# Commands and flags: https://cloud.google.com/sdk/gcloud/reference/compute/tpus/queued-resources/create, .../delete and
# .../tpu-vm/ssh; states: https://cloud.google.com/tpu/docs/queued-resources
# shellcheck source=launch/parts.sh
source "${BASH_SOURCE[0]%/*}/parts.sh"
declare -A FLAG=(
  [name]="" [zone]="" [accelerator-type]="" [runtime-version]="" [slices]=1 [spot]=no [project]="" [create-flags]=""
  [ref]=HEAD [keep]=no [grace]=600 [poll]=30 [retries]=20 [hours]="" [price]=""
)
ROOT=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)

parse "$@"
need name zone accelerator-type runtime-version poll
whole slices grace retries
number poll
[[ ${FLAG[name]} =~ ^[a-z][a-z0-9-]*$ ]] || die "--name ${FLAG[name]}: expected lower-case letters, digits and dashes"
chips=$(tpu_chips "${FLAG[accelerator-type]}")
WHERE=(--zone="${FLAG[zone]}" --quiet)
[[ -z ${FLAG[project]} ]] || WHERE+=(--project="${FLAG[project]}")

# What the hosts run. jax finds the other hosts in the metadata of the slice; JAX_COORDINATOR_PORT says that there are
# others to be joined.
# The process is remembered by its number, which after a reboot may be another's: it has to be one that runs in dsmath.
END="pid=\$(cat dsmath.pid 2>/dev/null)
if [[ \$(readlink /proc/\$pid/cwd) == \$(readlink -f dsmath) ]] && kill -TERM \$pid 2>/dev/null; then
  timeout ${FLAG[grace]} tail --pid=\$pid -s 0.2 -f /dev/null || kill -KILL \$pid
fi"
# An installation that fails is worth another try: no status of pip's or uv's is to be read as one of the command.
INSTALL="{ rm -rf dsmath && tar -xzf dsmath.tar.gz && cd dsmath && python3 -m pip install --user --quiet uv &&
python3 -m uv venv --quiet --python 3.12 .venv && python3 -m uv pip install --quiet --python .venv '.[tpu]'
} || exit 1"
START="cd dsmath && export PATH=\"\$PWD/.venv/bin:\$PATH\" JAX_COORDINATOR_PORT=8476
nohup $(quoted "${COMMAND[@]}") > ../dsmath.log 2>&1 < /dev/null &
pid=\$!; echo \$pid > ../dsmath.pid
tail -n +1 --pid=\$pid -s 0.2 -f ../dsmath.log &
wait \$pid; code=\$?; wait; exit \$code"

NODES=("${FLAG[name]}")
SIZE=(--node-id="${FLAG[name]}")
if ((FLAG[slices] > 1)); then
  # The nodes of PREFIX are PREFIX-0, PREFIX-1 ...: MultisliceParams in the reference of the API, tpu_v2
  NODES=()
  for ((i = 0; i < FLAG[slices]; i++)); do NODES+=("${FLAG[name]}-$i"); done
  SIZE=(--node-count="${FLAG[slices]}" --node-prefix="${FLAG[name]}")
fi

create() {
  local more=()
  [[ ${FLAG[spot]} == no ]] || more+=(--spot)
  read -ra flags <<<"${FLAG[create-flags]}"
  run gcloud compute tpus queued-resources create "${FLAG[name]}" "${SIZE[@]}" \
    --accelerator-type="${FLAG[accelerator-type]}" --runtime-version="${FLAG[runtime-version]}" \
    "${more[@]}" "${flags[@]}" "${WHERE[@]}"
}

delete() {
  run gcloud compute tpus queued-resources delete "${FLAG[name]}" --force "${WHERE[@]}"
}

describe() {
  run gcloud compute tpus queued-resources describe "${FLAG[name]}" --format="value(state.state)" "${WHERE[@]}"
}

# state: of the queued resource, ABSENT if there is none, UNKNOWN if gcloud can't tell.
state() {
  local found
  if found=$(describe 2>"$SCRATCH/describe"); then
    echo "$found"
  elif grep -q NOT_FOUND "$SCRATCH/describe"; then
    echo ABSENT
  else
    grep -v '^+' "$SCRATCH/describe" >&2 || true
    echo UNKNOWN
  fi
}

# until_active: create the queued resource where there is none, replace it where it was lost, wait until it is there.
until_active() {
  local now last="" unknown=0
  while [[ -z $STOPPED ]]; do
    now=$(state)
    [[ $now == "$last" ]] || note "${FLAG[name]}: $now"
    last=$now
    case $now in
      ABSENT) create || die "the queued resource was not created; gcloud says why" ;;
      UNKNOWN) ((++unknown < 5)) || return 75 ;;
    esac
    [[ $now == UNKNOWN ]] || FOUND=yes
    case $now in
      ACTIVE) return ;;
      FAILED | SUSPENDED)
        ((try < FLAG[retries])) || return 75
        ((++try))
        delete || return 75
        ;;
    esac
    sleep "${FLAG[poll]}" || true
  done
  return 75
}

# The connection to a lost host ends when it doesn't answer.
on_hosts() { # NODE SCRIPT
  run gcloud compute tpus tpu-vm ssh "$1" --worker=all --ssh-flag="-o ServerAliveInterval=30" --command="$2" \
    "${WHERE[@]}"
}

to_hosts() { # NODE
  run gcloud compute tpus tpu-vm scp "$ARCHIVE" "$1:dsmath.tar.gz" --worker=all "${WHERE[@]}"
}

# everywhere FUNCTION ARGUMENT...: for every node, at once. The status is 2 if one is, else a bad one if there is any.
everywhere() {
  local node pid code status=0 pids=()
  for node in "${NODES[@]}"; do
    if [[ $DRY_RUN ]]; then "$1" "$node" "${@:2}"; else
      "$1" "$node" "${@:2}" &
      pids+=($!)
    fi
  done
  for pid in "${pids[@]}"; do
    code=0
    while kill -0 "$pid" 2>/dev/null; do wait "$pid" || true; done # a signal cuts a wait short
    wait "$pid" || code=$?
    if ((code == 2 || (code && status != 2))); then status=$code; fi
  done
  return "$status"
}

deploy() {
  everywhere on_hosts "$END" && everywhere to_hosts && everywhere on_hosts "$INSTALL"
}

cost $((chips * FLAG[slices]))
ARCHIVE=${TMPDIR:-/tmp}/dsmath-${FLAG[name]}.tar.gz
run git -C "$ROOT" archive --format=tar.gz --prefix=dsmath/ --output="$ARCHIVE" "${FLAG[ref]}" ||
  die "--ref ${FLAG[ref]}: expected a commit of $ROOT"

if [[ $DRY_RUN ]]; then
  describe
  note "if there is none:"
  create
  note "every ${FLAG[poll]} s until it is ACTIVE; if it is FAILED or SUSPENDED, delete and create:"
  describe
  deploy
  everywhere on_hosts "$START"
  note "and from the first describe again, ${FLAG[retries]} times at most, unless it ended with 0 or 2"
  [[ ${FLAG[keep]} == yes ]] || delete
  exit
fi

SCRATCH=$(mktemp -d) FOUND="" STOPPED=""
trap 'STOPPED=yes; everywhere on_hosts "$END" || true' TERM INT HUP
trap '[[ ${FLAG[keep]} == yes || -z $FOUND ]] || delete || true; rm -rf "$SCRATCH" "$ARCHIVE"' EXIT
for ((try = 0; ; try++)); do
  status=0
  { until_active && deploy && everywhere on_hosts "$START"; } || status=$?
  if [[ $STOPPED ]] || ! again "$status" "$try"; then exit "$status"; fi
  note "ended with $status; starting again ($((try + 1)) of ${FLAG[retries]})"
  sleep "${FLAG[poll]}" || true
done
