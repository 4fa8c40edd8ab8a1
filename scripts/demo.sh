#!/bin/bash
# The whole life of the example lab on a throwaway host: make demo.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${LABCTL_SANDBOX:-} != 1 ]]; then
  bin/labctl image build micro >/dev/null # on the machine itself, so that it is kept for the next time
  exec bin/labctl sandbox -- "$0" "$@"
fi

bold='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' plain=$'\e[0m'
fi

run() {
  printf '\n%s$ labctl %s%s\n' "$bold" "$*" "$plain"
  bin/labctl -chdir=examples/holepunch "$@"
}

host() { # what labctl could leave behind
  ip -br link | awk '{print $1}'
  virsh -q -c qemu:///system list --all --name
  nft list ruleset
  find /etc/netplan /etc/sysctl.d /var/lib/labctl/labs -type f 2>/dev/null || true
}

before=$(host)
run apply -auto-approve
run status
run test
run plan
run destroy -auto-approve
if diff <(echo "$before") <(host); then
  printf '\nNothing is left of the lab: this host is as it was.\n'
else
  printf '\nThe lines above are left behind.\n'
  exit 1
fi
