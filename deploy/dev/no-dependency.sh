#!/usr/bin/env bash
# no-dependency.sh CRATE NAME…: fails if CRATE's normal dependency tree holds one of the NAMEs.
# "Normal" leaves out what only tests and build scripts use.
set -euo pipefail
cd "$(dirname "$0")/../.."

crate=$1
shift
tree=$(cargo tree --locked -p "$crate" -e normal --prefix none --format '{p}')
found=0
for name in "$@"; do
  if grep -q "^$name v" <<<"$tree"; then
    echo "$crate may not depend on $name, but does:" >&2
    cargo tree --locked -p "$crate" -e normal -i "$name" >&2
    found=1
  fi
done
exit "$found"
