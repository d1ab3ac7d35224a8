#!/usr/bin/env bash
# The benchmarks: the protocol on one core beside its primitives, the two sets of primitives beside
# each other, a member on its database, the simulator, then load on a private network of real processes. Arguments
# go to the load command, for example --json or --seconds 20.
set -euo pipefail
cd "$(dirname "$0")/../.."

# The release profile and the whole workspace, so that RocksDB is the one that was built already. The
# clients of the load build their packets by the faster primitives too, and the table says so.
selection=(--locked --workspace --features "enjambre-sdk/probe,enjambre-sdk/aws-lc")
cargo build --release "${selection[@]}" --bins --examples
for bench in onion primitives; do
  cargo bench --profile release "${selection[@]}" --bench "$bench" -- --quiet
done
cargo bench --profile release "${selection[@]}" --bench member
cargo bench --profile release "${selection[@]}" --bench simulation
exec "${CARGO_TARGET_DIR:-target}/release/examples/load" "$@"
