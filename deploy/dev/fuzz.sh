#!/usr/bin/env bash
# Each fuzz target for FUZZ_SECONDS; stops at the first that finds something.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${FUZZ_SECONDS:-30}
case "$seconds" in
  '' | *[!0-9]* | 0*)
    # libFuzzer reads 0 as "without end".
    echo "FUZZ_SECONDS is a whole number of seconds above zero, such as 30; found \"$seconds\"." >&2
    exit 2
    ;;
esac
if ! cargo +nightly --version >/dev/null 2>&1; then
  echo "Fuzzing needs the nightly toolchain. Run:  rustup toolchain install nightly --profile minimal" >&2
  exit 1
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "cargo fuzz is missing. Run:  cargo install --locked cargo-fuzz" >&2
  exit 1
fi

cd specs/protocol
targets=$(cargo +nightly fuzz list)
if [ -z "$targets" ]; then
  echo "specs/protocol/fuzz has no targets." >&2
  exit 1
fi
for target in $targets; do
  printf '\n== %s\n' "$target"
  # Long inputs from the start: in a short run libFuzzer would stay at a few operations.
  cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -len_control=0 -max_len=1024
done
