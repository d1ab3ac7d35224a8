#!/usr/bin/env bash
# The proof of durability with its counter-proof: real processes lose power in the middle of a
# stream of stores, and what they acknowledged must be there; a build of the node that leaves out
# the syncs must be caught by the same run. Takes about six minutes after the builds.
# ENJAMBRE_POWER_CUTS sets the number of power cuts.
set -euo pipefail
cd "$(dirname "$0")/../.."

target="${CARGO_TARGET_DIR:-target}"
selection=(--locked --release --workspace)

# Only our crate is compiled again with the feature; RocksDB is the one that was built already. The
# program is put aside, and the honest build comes last, so that nothing else uses the other.
cargo build "${selection[@]}" --bins --features enjambre-node/unsynced
mkdir -p "$target/unsynced"
cp "$target/release/enjambre-node" "$target/unsynced/enjambre-node"
cargo build "${selection[@]}" --bins --tests

export ENJAMBRE_POWER_CUTS="${ENJAMBRE_POWER_CUTS:-20}"
ENJAMBRE_UNSYNCED_NODE=$(realpath "$target/unsynced/enjambre-node")
export ENJAMBRE_UNSYNCED_NODE
cargo test "${selection[@]}" --test durability -- --include-ignored --nocapture --test-threads 1
