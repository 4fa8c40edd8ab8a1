#!/bin/bash
# Runs every fuzz target of the module for a time, one after the other: scripts/fuzz.sh 60s
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-60s}
go=${GO:-go}
count=0 failed=0
while IFS=: read -r file target; do
  target=${target#func }
  target=${target%%(*}
  count=$((count + 1))
  printf '%s in %s\n' "$target" "$(dirname "$file")"
  fuzz() { "$go" test -tags "${TAGS:-libvirt_dlopen}" -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$(dirname "$file")"; }
  # The fuzzer may fail at its own deadline on a busy machine. What it finds is kept as a seed and fails the second time too.
  fuzz || fuzz || failed=$((failed + 1))
done < <(grep -rn --include='*_test.go' -oE '^func Fuzz[A-Za-z0-9_]*\(' . | sed -E 's#^\./([^:]+):[0-9]+:(.*)#\1:\2#' | sort)
printf '%d fuzz targets, %d failed\n' "$count" "$failed"
((count > 0 && failed == 0))
