#!/usr/bin/env bash
# Submit a command to Slurm, one task per GPU (launch/slurm.sbatch).
#
# usage: launch/slurm.sh --nodes N --gpus-per-node G --time T [flags] -- COMMAND
#   --time T                Slurm's limit; the job saves before it is over, and is requeued
#   --name NAME             of the job (default dsmath)
#   --sbatch-flags FLAGS    more flags of sbatch, as one string: '--partition=gpu --cpus-per-task=8'
#   --grace SECONDS         how long before the limit the tasks are told to save (default 600)
#   --retries N             how often the job is requeued (default 20)
#   --hours H --price P     for the cost: hours of the run, price of a GPU hour
#   --dry-run               print what would run, and run nothing
#
# Call it where COMMAND finds its files and `dsmath` is on the PATH (an active environment), on a file system that the
# nodes share. What preemption gives to save is the partition's GraceTime.
#
# example: launch/slurm.sh --nodes 2 --gpus-per-node 8 --time 12:00:00 --hours 3 --price PRICE -- \
#            dsmath train --config configs/sft_7b.py --workdir /scratch/sft
set -euo pipefail
# Options: https://slurm.schedmd.com/sbatch.html
HERE=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source=launch/parts.sh
source "$HERE/parts.sh"
declare -A FLAG=(
  [nodes]="" [gpus-per-node]="" [time]="" [name]=dsmath [sbatch-flags]="" [grace]=600 [retries]=20 [hours]="" [price]=""
)

# limit_s TIME: in seconds, of Slurm's forms M, M:S, H:M:S, D-H, D-H:M and D-H:M:S.
limit_s() {
  local days=0 hours=0 minutes=0 seconds=0
  [[ $1 =~ ^([0-9]+-)?[0-9]+(:[0-9]+){0,2}$ ]] || die "--time $1: expected one like 12:00:00 or 1-12"
  case $1 in
    *-*) days=${1%-*} && IFS=: read -r hours minutes seconds <<<"${1#*-}" ;;
    *:*:*) IFS=: read -r hours minutes seconds <<<"$1" ;;
    *) IFS=: read -r minutes seconds <<<"$1" ;;
  esac
  echo $((((10#$days * 24 + 10#$hours) * 60 + 10#${minutes:-0}) * 60 + 10#${seconds:-0}))
}

parse "$@"
need nodes gpus-per-node time
whole nodes gpus-per-node grace retries
limit=$(limit_s "${FLAG[time]}")
((limit >= 2 * FLAG[grace])) || die "--time ${FLAG[time]}: expected twice --grace ${FLAG[grace]} s, or more"
read -ra flags <<<"${FLAG[sbatch-flags]}"

cost $((FLAG[nodes] * FLAG[gpus-per-node]))
run sbatch --job-name="${FLAG[name]}" --nodes="${FLAG[nodes]}" --gpus-per-node="${FLAG[gpus-per-node]}" \
  --ntasks-per-node="${FLAG[gpus-per-node]}" --time="${FLAG[time]}" --signal="B:TERM@${FLAG[grace]}" \
  "${flags[@]}" "$HERE/slurm.sbatch" --retries "${FLAG[retries]}" -- "${COMMAND[@]}"
note "in the job, on each start: $("$HERE/slurm.sbatch" --dry-run -- "${COMMAND[@]}")"
