#!/usr/bin/env bash
# The benchmarks: the protocol on one core beside its primitives, then load on a private network of
# real processes. Arguments go to the load command, for example --json or --seconds 20.
set -euo pipefail
cd "$(dirname "$0")/../.."

# The release profile and the whole workspace, so that RocksDB is the one that was built already.
selection=(--locked --workspace --features enjambre-sdk/probe)
cargo build --release "${selection[@]}" --bins --examples
cargo bench --profile release "${selection[@]}" --bench onion -- --quiet
exec "${CARGO_TARGET_DIR:-target}/release/examples/load" "$@"
