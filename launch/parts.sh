# shellcheck shell=bash
# What the scripts of this folder share: flags, errors of one line, --dry-run, the cost, what is worth another try.
# A script declares FLAG (name to default; a default of "no" makes a switch) and calls `parse "$@"`.

DRY_RUN=
COMMAND=()

# die MESSAGE: an error that the user can mend.
die() {
  echo "${0##*/}: $*" >&2
  exit 2
}

# parse ARGUMENTS: flags into FLAG, what stands behind -- into COMMAND.
parse() {
  local name value
  while (($#)); do
    case $1 in
      -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" && exit 0 ;;
      --dry-run) DRY_RUN=yes ;;
      --)
        COMMAND=("${@:2}")
        break
        ;;
      --*)
        name=${1%%=*} name=${name#--}
        [[ -n $name && -v FLAG["$name"] ]] || die "no flag '$1'; --help lists them"
        if [[ ${FLAG[$name]} == no || ${FLAG[$name]} == yes ]]; then
          [[ $1 != *=* ]] || die "--$name takes no value"
          value=yes
        elif [[ $1 == *=* ]]; then
          value=${1#*=}
        else
          (($# > 1)) || die "--$name lacks its value"
          value=$2
          shift
        fi
        FLAG["$name"]=$value
        ;;
      *) die "unexpected argument '$1'; the command comes behind --" ;;
    esac
    shift
  done
  ((${#COMMAND[@]})) || die "no command; expected one behind --: -- dsmath train --config CONFIG --workdir WORKDIR"
}

# need FLAG...: each has a value.
need() {
  local name
  for name; do [[ ${FLAG[$name]} ]] || die "--$name is missing; --help shows an example"; done
}

# whole FLAG...: each is a whole number, one or more; only --retries may be 0.
whole() {
  local name
  for name; do
    [[ ${FLAG[$name]} =~ ^(0|[1-9][0-9]{0,8})$ ]] || die "--$name ${FLAG[$name]}: expected a whole number"
    [[ $name == retries || ${FLAG[$name]} != 0 ]] || die "--$name 0: expected 1 or more"
  done
}

# number FLAG...: each is a decimal number, if it is there.
number() {
  local name
  for name; do [[ ${FLAG[$name]} =~ ^([0-9]+(\.[0-9]+)?)?$ ]] || die "--$name ${FLAG[$name]}: expected a number"; done
}

# quoted COMMAND...: one line that a shell reads as that command.
quoted() {
  local line
  printf -v line '%q ' "$@"
  echo "${line% }"
}

# run COMMAND...: on a dry run print it, else say it on stderr and run it.
run() {
  if [[ $DRY_RUN ]]; then
    quoted "$@"
  else
    echo "+ $(quoted "$@")" >&2
    "$@"
  fi
}

# note TEXT: a remark, which in the output of a dry run is a comment.
note() {
  if [[ $DRY_RUN ]]; then echo "# $*"; else echo "$*" >&2; fi
}

# cost CHIPS: what the run costs, in the currency of --price.
cost() {
  local hours=${FLAG[hours]} price=${FLAG[price]}
  number hours price
  if [[ $hours && $price ]]; then
    note "cost: $(awk "BEGIN {printf \"$1 chips x $hours h x $price a chip hour = %.2f\", $1 * $hours * $price}")"
  else
    note "cost: $1 chips x ${hours:-HOURS} h x ${price:-PRICE} a chip hour; --hours and --price make it a sum"
  fi
}

# again STATUS TRY: whether to start the same command once more. 0 is done, 2 is for a person, 126 and 127 mean that
# there is no such command; 75 goes on where it was, and what crashed deserves a bounded number of tries.
again() {
  case $1 in 0 | 2 | 126 | 127) return 1 ;; esac
  [[ $2 -lt ${FLAG[retries]} ]]
}

# tpu_chips TYPE: the chips of a slice. The number in v2 to v5p is that of TensorCores, two a chip; in v5litepod and v6e
# that of chips.
# https://cloud.google.com/tpu/docs/v4, .../v5p, .../v5e, .../v6e
tpu_chips() {
  [[ $1 =~ ^(v[234]|v5p|v5litepod|v6e)-([1-9][0-9]*)$ ]] ||
    die "TPU type $1: expected one like v4-32, v5p-32, v5litepod-16 or v6e-16"
  case ${BASH_REMATCH[1]} in
    v5litepod | v6e) echo "${BASH_REMATCH[2]}" ;;
    *) echo $((BASH_REMATCH[2] / 2)) ;;
  esac
}
