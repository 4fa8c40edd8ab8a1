#!/bin/bash
# Installs the Debian packages that a lab host needs, if any is missing.
set -euo pipefail

packages=(
  libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils # machines
  ovmf swtpm-tools                                                 # their firmware and TPMs
  nftables netplan.io iproute2 conntrack dnsmasq-base iptables     # networks
  dbus systemd                                                     # the sandbox
  osinfo-db                                                        # what os_variant means
  # What the micro image is made of.
  linux-image-cloud-amd64 busybox-static qemu-guest-agent ncat tcpdump cpio e2fsprogs kmod zstd
  mmdebstrap                                                       # the Debian image
  openssh-client                                                   # labs that are elsewhere
  # What labctl is built with: Go itself is taken as installed.
  gcc libc6-dev make git ca-certificates
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [[ $status == 'install ok installed' ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi
echo "installing ${missing[*]}"
root=()
((EUID == 0)) || root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${root[@]}" apt-get update -q
"${root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}"
