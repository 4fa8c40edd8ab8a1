#!/bin/bash
# Puts an ssh server beside the build, for the tests of labs that are elsewhere: nothing is installed and nothing is started.
set -euo pipefail
dir=$(realpath -m "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -q openssh-server libwrap0 2>/dev/null || {
  root=()
  ((EUID == 0)) || root=(sudo)
  "${root[@]}" apt-get update -q
  apt-get download -q openssh-server libwrap0
}
for package in *.deb; do
  dpkg-deb -x "$package" "$work/tree"
done
mkdir -p "$dir"
mv tree/usr/sbin/sshd "$dir/sshd"
find tree -name 'libwrap.so.0*' -exec cp -P {} "$dir" \;
