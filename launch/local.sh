#!/usr/bin/env bash
# Start a command on this machine, as one process or as several that join through jax.distributed.
#
# usage: launch/local.sh [flags] -- COMMAND
#   --processes N     how many processes (default 1)
#   --devices N       virtual CPU devices of each process; without it, what the machine has
#   --port N          port on which several processes meet (default 8476)
#   --grace SECONDS   what a process that was told to end is given to save (default 300)
#   --retries N       how often to start again after a process was lost, or ended with 75 (default 3)
#   --dry-run         print what would run, and run nothing
#
# SIGTERM and SIGINT reach every process as SIGTERM; each saves and ends, and so does this script, with 75. When one
# process fails, the others are ended too. Costs nothing but this machine's time.
#
# example: launch/local.sh --processes 2 -- dsmath train --config configs/sft_smollm2_gsm8k.py --workdir runs/smollm2
set -euo pipefail
# shellcheck source=launch/parts.sh
source "${BASH_SOURCE[0]%/*}/parts.sh"
declare -A FLAG=([processes]=1 [devices]="" [port]=8476 [grace]=300 [retries]=3)

# process INDEX: its command into PROCESS.
process() {
  local variables=()
  [[ -z ${FLAG[devices]} ]] ||
    variables+=(JAX_PLATFORMS=cpu "XLA_FLAGS=--xla_force_host_platform_device_count=${FLAG[devices]}")
  ((FLAG[processes] == 1)) || variables+=(
    "JAX_COORDINATOR_ADDRESS=127.0.0.1:${FLAG[port]}" "JAX_NUM_PROCESSES=${FLAG[processes]}" "JAX_PROCESS_ID=$1")
  PROCESS=("${COMMAND[@]}")
  ((${#variables[@]} == 0)) || PROCESS=(env "${variables[@]}" "${COMMAND[@]}")
}

# attempt: one start of all processes. STATUS is 2 if one ended with 2, else that of the first to fail.
attempt() {
  local i code deadline="" pids=()
  STATUS=0
  for ((i = 0; i < FLAG[processes]; i++)); do
    process "$i"
    "${PROCESS[@]}" &
    pids+=($!)
  done
  while ((${#pids[@]})); do
    for i in "${!pids[@]}"; do
      kill -0 "${pids[i]}" 2>/dev/null && continue
      code=0
      wait "${pids[i]}" || code=$?
      unset "pids[i]"
      if ((code == 2 || (code && STATUS == 0))); then STATUS=$code; fi
    done
    if [[ -z $deadline ]] && { ((STATUS)) || [[ $STOPPED ]]; }; then
      deadline=$((SECONDS + FLAG[grace]))
      ((${#pids[@]} == 0)) || kill -TERM "${pids[@]}" 2>/dev/null || true
    elif [[ $deadline ]] && ((SECONDS > deadline && ${#pids[@]})); then
      kill -KILL "${pids[@]}" 2>/dev/null || true
    fi
    sleep 0.1 || true # a signal may cut it short
  done
}

parse "$@"
whole processes port grace retries
[[ -z ${FLAG[devices]} ]] || whole devices
if [[ $DRY_RUN ]]; then
  note "cost: none but this machine's time"
  for ((i = 0; i < FLAG[processes]; i++)); do
    process "$i"
    echo "$(quoted "${PROCESS[@]}") &"
  done
  echo "wait"
  note "and all of it again, ${FLAG[retries]} times at most, unless it ends with 0 or 2"
  exit
fi
STOPPED=
trap 'STOPPED=yes' TERM INT HUP
for ((try = 0; ; try++)); do
  attempt
  if [[ $STOPPED ]] || ! again "$STATUS" "$try"; then exit "$STATUS"; fi
  note "ended with $STATUS; starting again ($((try + 1)) of ${FLAG[retries]})"
done
