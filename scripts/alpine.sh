#!/bin/bash
# Unpacks what tests make a guest like Alpine's of, into the folder that is the argument: OpenRC and ifupdown-ng (what Alpine has) into
# ng, Debian's own ifupdown into classic. The packages are Debian's; nothing is installed on this machine.
set -euo pipefail
to=$1
ng=(openrc librc1 libeinfo1 ifupdown-ng libbsd0 libmd0)
classic=(ifupdown)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fetch() { apt-get download -q -o APT::Sandbox::User=root "${ng[@]}" "${classic[@]}"; }
if ! fetch; then
  root=()
  ((EUID == 0)) || root=(sudo)
  "${root[@]}" apt-get update -q
  fetch
fi
for tree in ng classic; do
  declare -n packages=$tree
  for package in "${packages[@]}"; do
    dpkg-deb -x "$package"_*.deb "$tree"
  done
done
cd - >/dev/null
rm -rf "$to"
mkdir -p "$(dirname "$to")"
rm "$work"/*.deb
cp -a "$work" "$to"
