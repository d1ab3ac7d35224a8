#!/usr/bin/env bash
# Builds the programs and runs the demo: client-sdk/examples/demo.rs.
set -euo pipefail
cd "$(dirname "$0")/../.."

bin="${CARGO_TARGET_DIR:-target}/release"
if [ ! -x "$bin/enjambre-node" ]; then
  echo "The first build compiles a database and takes about 25 minutes on two cores; later ones take seconds."
fi
cargo build --locked --release --workspace --bins --examples
exec "$bin/examples/demo" "$@"
