#!/usr/bin/env bash
# Start a command through SkyPilot, on a cloud that has the accelerators, as a managed job (launch/skypilot.yaml).
#
# usage: launch/skypilot.sh --accelerators NAME:COUNT [flags] -- COMMAND
#   --accelerators A        of a node: H100:8; or a TPU slice: tpu-v5litepod-16
#   --nodes N               how many nodes (default 1); a TPU slice is one
#   --on-demand             nothing that may be taken away; without it, spot
#   --infra WHERE           gcp, aws/us-east-1, k8s ...; without it, the cheapest
#   --name NAME             of the job (default dsmath)
#   --hours H --price P     for the cost: hours of the run, price of a chip hour (`sky gpus list` has them)
#   --dry-run               print what would run, and run nothing
#
# The checkout is copied with its uncommitted changes. WORKDIR has to be in a bucket.
#
# example: launch/skypilot.sh --accelerators H100:8 --nodes 2 --hours 3 --price PRICE -- \
#            dsmath train --config configs/sft_7b.py --workdir gs://BUCKET/sft
set -euo pipefail
# shellcheck source=launch/parts.sh
source "${BASH_SOURCE[0]%/*}/parts.sh"
declare -A FLAG=([accelerators]="" [nodes]=1 [on-demand]=no [infra]="" [name]=dsmath [hours]="" [price]="")
ROOT=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)

parse "$@"
need accelerators
whole nodes
case ${FLAG[accelerators]} in
  tpu-*) device=tpu chips=$(tpu_chips "${FLAG[accelerators]#tpu-}") ;;
  *:[1-9]*) device=gpu chips=$((${FLAG[accelerators]##*:} * FLAG[nodes])) ;;
  *) die "--accelerators ${FLAG[accelerators]}: expected one like H100:8 or tpu-v5litepod-16" ;;
esac
[[ $device == gpu || ${FLAG[nodes]} == 1 ]] || die "--nodes ${FLAG[nodes]}: expected 1 with a TPU slice"
spot=--use-spot
[[ ${FLAG[on-demand]} == no ]] || spot=--no-use-spot

cost "$chips"
run sky jobs launch --yes --name "${FLAG[name]}" --workdir "$ROOT" --gpus "${FLAG[accelerators]}" \
  --num-nodes "${FLAG[nodes]}" "$spot" ${FLAG[infra]:+--infra "${FLAG[infra]}"} \
  --env "DSMATH_COMMAND=$(quoted "${COMMAND[@]}")" --env "DSMATH_EXTRA=$device" "$ROOT/launch/skypilot.yaml"
