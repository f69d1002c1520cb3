#!/usr/bin/env bash
# Start a command on every host of TPU slices in a GKE cluster, as a JobSet (launch/gke_jobset.yaml).
#
# usage: launch/gke.sh --name NAME --image IMAGE --accelerator TYPE --topology AxB [flags] -- COMMAND
#   --accelerator TYPE      the node label cloud.google.com/gke-tpu-accelerator: tpu-v5-lite-podslice, tpu-v5p-slice ...
#   --topology AxB[xC]      the node label cloud.google.com/gke-tpu-topology
#   --chips-per-host N      chips of a node (default 4)
#   --slices N              several slices train together (multislice; default 1)
#   --spot                  spot nodes, which may be taken away at any time
#   --service-account NAME  the pods' (default default); it has to reach WORKDIR's bucket
#   --grace SECONDS         what a process that was told to end is given to save (default 600)
#   --retries N             how often all slices start again (default 20)
#   --hours H --price P     for the cost: hours of the run, price of a chip hour
#   --dry-run               print what would run, and run nothing
#
# The cluster has JobSet installed and a node pool per slice. launch/Dockerfile makes the image. kubectl's current
# context says which cluster. To end a run so that it saves: kubectl delete jobset NAME
#
# example: launch/gke.sh --name sft --image REGION-docker.pkg.dev/PROJECT/REPO/dsmath --slices 2 --spot \
#            --accelerator tpu-v5-lite-podslice --topology 4x4 --hours 2 --price PRICE -- \
#            dsmath train --config configs/sft_7b.py --workdir gs://BUCKET/sft
set -euo pipefail
# shellcheck source=launch/parts.sh
source "${BASH_SOURCE[0]%/*}/parts.sh"
declare -A FLAG=(
  [name]="" [image]="" [accelerator]="" [topology]="" [chips-per-host]=4 [slices]=1 [spot]=no [service-account]=default
  [grace]=600 [retries]=20 [hours]="" [price]=""
)

# text WORD: as YAML reads it.
text() {
  local word=$1
  [[ $word != *[[:cntrl:]]* ]] || die "$(quoted "$word") has a control character; expected plain text"
  word=${word//\\/\\\\}
  echo "\"${word//\"/\\\"}\""
}

parse "$@"
need name image accelerator topology
whole chips-per-host slices grace retries
# A pod's host name is NAME-slice-I-J and at most 63 characters long.
[[ ${FLAG[name]} =~ ^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$ ]] ||
  die "--name ${FLAG[name]}: expected at most 40 lower-case letters, digits and dashes"
[[ ${FLAG[topology]} =~ ^[1-9][0-9]*(x[1-9][0-9]*){1,2}$ ]] || die "--topology ${FLAG[topology]}: expected one like 4x4"
chips=$((${FLAG[topology]//x/*}))
((chips % FLAG[chips-per-host] == 0)) ||
  die "--topology ${FLAG[topology]}: $chips chips; expected a multiple of --chips-per-host ${FLAG[chips-per-host]}"

command="" dollar='$'
for word in "${COMMAND[@]}"; do
  word=$(text "${word//"$dollar("/"$dollar$dollar("}") # Kubernetes would read $(NAME) as a variable, and reads $$ as $
  command+=", $word"
done
image=$(text "${FLAG[image]}") # one a line: of several, only the last one's error would end the script
accelerator=$(text "${FLAG[accelerator]}")
account=$(text "${FLAG[service-account]}")
declare -A FILL=(
  [NAME]=${FLAG[name]} [RETRIES]=${FLAG[retries]} [SLICES]=${FLAG[slices]} [GRACE]=${FLAG[grace]}
  [HOSTS]=$((chips / FLAG[chips-per-host])) [CHIPS_PER_HOST]=${FLAG[chips-per-host]}
  [SERVICE_ACCOUNT]=$account [ACCELERATOR]=$accelerator [TOPOLOGY]=${FLAG[topology]}
  [IMAGE]=$image [COMMAND]="[${command:2}]"
)
manifest=""
while IFS= read -r line; do
  [[ $line != *"# --spot" || ${FLAG[spot]} == yes ]] || continue
  if [[ $line =~ ^([^#]*)\$([A-Z_]+)(.*)$ ]]; then
    line=${BASH_REMATCH[1]}${FILL[${BASH_REMATCH[2]}]}${BASH_REMATCH[3]}
  fi
  manifest+=$line$'\n'
done < <(grep -v '^#' "${BASH_SOURCE[0]%/*}/gke_jobset.yaml")

cost $((chips * FLAG[slices]))
if [[ $DRY_RUN ]]; then
  printf "kubectl create -f - <<'EOF'\n%sEOF\n" "$manifest"
else
  run kubectl create -f - <<<"${manifest%$'\n'}"
fi
note "its output: kubectl logs --follow --prefix --selector jobset.sigs.k8s.io/jobset-name=${FLAG[name]}"
