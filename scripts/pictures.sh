#!/bin/bash
# Makes the pictures in docs/images from a real run, on a throwaway host: scripts/pictures.sh. It needs tmux, and
# freeze (github.com/charmbracelet/freeze) in .cache/bin.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ ${LABCTL_SANDBOX:-} != 1 ]]; then
  bin/labctl image build micro >/dev/null
  exec bin/labctl sandbox -- "$0" "$@"
fi

export PATH=$PWD/bin:$PATH TMUX_TMPDIR=/run
columns=118

# picture NAME LAB LINES COMMAND... runs the commands in a terminal and keeps what is then on its screen.
picture() {
  local name=$1 lab=$2 lines=$3
  shift 3
  tmux -L pictures new-session -d -x $columns -y "$lines" \
    "PS1= PROMPT_COMMAND= bash --norc --noprofile -c 'cd examples/$lab; for command in \"\$@\"; do printf \"\\e[1;34m\$\\e[0m \\e[1m%s\\e[0m\\n\" \"\$command\"; \$command; echo; done; tmux -L pictures wait-for -S shown; sleep 60' bash $(printf '%q ' "$@")"
  tmux -L pictures wait-for shown
  sleep 0.2
  tmux -L pictures capture-pane -e -p | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' >/run/screen.ansi
  tmux -L pictures kill-server
  sed -i 's/\x1b\[39m/\x1b[0m/g' /run/screen.ansi # freeze knows no default colour but the reset
  # Nor does it know that a colour goes on in the next line.
  awk '{ rest = $0; print state rest; while (match(rest, /\033\[[0-9;]*m/)) { state = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH) } }' \
    /run/screen.ansi >/run/picture.ansi
  .cache/bin/freeze --language ansi --window --padding 16 --margin 0 --border.radius 8 --font.size 13 --font.family monospace \
    --output "docs/images/$name.svg" </run/picture.ansi
}

picture apply first-vm 60 'labctl apply -auto-approve' 'labctl test' 'labctl plan'
(cd examples/first-vm && labctl destroy -auto-approve >/dev/null)
(cd examples/holepunch && labctl apply -auto-approve >/dev/null)
picture change holepunch 96 'labctl apply -auto-approve -var nat_b=symmetric' 'labctl test -var nat_b=symmetric'
