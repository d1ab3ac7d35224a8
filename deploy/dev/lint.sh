#!/usr/bin/env bash
# Everything that is checked without running a test.
set -euo pipefail
cd "$(dirname "$0")/../.."

step() { printf '\n== %s\n' "$1"; }

for tool in fmt clippy; do
  if ! cargo "$tool" --version >/dev/null 2>&1; then
    echo "cargo $tool is missing. Run:  rustup component add rustfmt clippy" >&2
    exit 1
  fi
done

step "format"
cargo fmt --all --check
cargo fmt --check --manifest-path specs/protocol/lint-probe/Cargo.toml -- --config-path rustfmt.toml

step "the protocol crate's list of refused calls is alive"
# The probe must fail, and with every entry of the list that lies in std.
probe=specs/protocol/lint-probe
if refused=$(CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/lint-probe" \
  cargo clippy --quiet --locked --manifest-path "$probe/Cargo.toml" -- -D warnings 2>&1); then
  echo "Clippy let $probe pass: specs/protocol/clippy.toml is not in force." >&2
  exit 1
fi
entries=$(grep -o 'path = "std::[^"]*"' specs/protocol/clippy.toml | cut -d'"' -f2)
for entry in $entries; do
  if ! grep -qF "disallowed method \`$entry\`" <<<"$refused" &&
    ! grep -qF "disallowed type \`$entry\`" <<<"$refused"; then
    echo "Clippy does not refuse $entry in $probe. It said:" >&2
    echo "$refused" >&2
    exit 1
  fi
done
echo "$(wc -w <<<"$entries") of $(wc -w <<<"$entries") refused"

step "the dependency rule"
# First the check itself: enjambre-link does have tokio, so it must fail there.
if deploy/dev/no-dependency.sh enjambre-link tokio 2>/dev/null; then
  echo "no-dependency.sh does not see tokio in enjambre-link." >&2
  exit 1
fi
deploy/dev/no-dependency.sh enjambre-protocol quinn rocksdb tokio getrandom
deploy/dev/no-dependency.sh enjambre-link rocksdb enjambre-node enjambre-sdk
deploy/dev/no-dependency.sh enjambre-node enjambre-sdk swarm-sim
deploy/dev/no-dependency.sh enjambre-sdk rocksdb enjambre-node swarm-sim
deploy/dev/no-dependency.sh swarm-sim quinn rocksdb tokio enjambre-link enjambre-node enjambre-sdk
echo "holds"

step "the tests that the threat model names exist"
for name in $(grep -oE '`[a-z0-9]+(_[a-z0-9]+){2,}`' specs/00-threat-model.md | tr -d '`' | sort -u); do
  if ! grep -rqE "fn $name\(" --include='*.rs' specs node client-sdk swarm-sim; then
    echo "specs/00-threat-model.md names the test $name, which does not exist." >&2
    exit 1
  fi
done
echo "they do"

# The release profile, as in the tests: RocksDB's build script then runs once for both.
step "clippy"
# The features bring in the load measurement, and the simulator's Parquet files.
cargo clippy --locked --release --workspace --features enjambre-sdk/probe,swarm-sim/parquet \
  --all-targets -- -D warnings

step "clippy, the SDK without its command"
cargo clippy --locked --release -p enjambre-sdk --no-default-features -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --workspace --features swarm-sim/parquet --no-deps

step "licences, bans, sources"
if cargo deny --version >/dev/null 2>&1; then
  cargo deny --locked check licenses bans sources
else
  echo "NOT RUN: cargo-deny is not installed (cargo install --locked cargo-deny)."
fi
