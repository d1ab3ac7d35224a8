#!/usr/bin/env bash
# Every test, then every documentation test; the runner's summary comes last.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Debug assertions in our crates only. A crate's own setting does not reach its dependencies, so
# RocksDB stays the one that the plain release build, clippy and the docs use. For the same reason
# every command here and in lint.sh says --release --workspace.
checks=()
for crate in enjambre-protocol enjambre-link enjambre-node enjambre-sdk swarm-sim; do
  checks+=(--config "profile.release.package.$crate.debug-assertions=true")
done
# The feature brings in the simulator's Parquet files.
selection=(--locked --release --workspace --features swarm-sim/parquet)

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ -t 2 ]; then export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-always}"; fi

# The tests of whole networks start the programs. A test build makes only those of its own crate;
# together with --tests they have the features, and so the objects, of the test build below.
cargo build "${checks[@]}" "${selection[@]}" --bins --tests

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run "${checks[@]}" "${selection[@]}" 2>&1 | tee "$log"
  summary=$(grep -a 'Summary.*tests\? run' "$log" | tail -n 1)
else
  cargo test "${checks[@]}" "${selection[@]}" --lib --bins --tests --examples 2>&1 | tee "$log"
  summary=$(awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
    END { printf "Summary: %d passed; %d failed; %d ignored", passed, failed, ignored }' "$log")
fi

echo "Documentation tests:"
cargo test "${checks[@]}" "${selection[@]}" --doc

echo "$summary"
