#!/usr/bin/env bash
# Installs what a build needs on Debian and Ubuntu; elsewhere says what to install. Does nothing
# when all is there. RocksDB and SQLCipher are compiled from source: that is what the C++ compiler,
# libclang and the OpenSSL headers are for.
set -euo pipefail
cd "$(dirname "$0")/../.."

have() { command -v "$1" >/dev/null 2>&1; }

have_libclang() {
  local pattern
  [ -n "${LIBCLANG_PATH:-}" ] && return 0
  for pattern in '/usr/lib/llvm*/lib/libclang*.so*' '/usr/lib/*/libclang*.so*' \
    '/usr/lib*/libclang*.so*' '/usr/local/lib*/libclang*.so*' '/opt/homebrew/opt/llvm/lib/libclang*'; do
    if compgen -G "$pattern" >/dev/null; then return 0; fi
  done
  return 1
}

have_openssl() {
  [ -n "${OPENSSL_DIR:-}" ] || pkg-config --exists openssl 2>/dev/null
}

missing_packages() {
  if ! { have cc && have c++ && have make; }; then echo build-essential; fi
  if ! have_libclang; then echo libclang-dev; fi
  if ! have perl; then echo perl; fi
  if ! have pkg-config; then echo pkg-config; fi
  if ! have_openssl; then echo libssl-dev; fi
}

is_debian() {
  have apt-get && [ -r /etc/os-release ] &&
    (. /etc/os-release && case " ${ID:-} ${ID_LIKE:-} " in *" debian "* | *" ubuntu "*) true ;; *) false ;; esac)
}

install_packages() {
  local line="apt-get update && apt-get install -y --no-install-recommends $*"
  if ! is_debian; then
    cat >&2 <<TXT
This build needs: a C and C++ compiler, make, libclang, perl, pkg-config, the OpenSSL headers.
On Debian and Ubuntu those are the packages build-essential libclang-dev perl pkg-config libssl-dev;
install what your system calls them and run this again. Only Debian and Ubuntu are tested.
Not found here (by their Debian names): $*
TXT
    exit 1
  fi
  if [ "$(id -u)" = 0 ]; then
    run=(sh -c)
  elif have sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    run=(sudo sh -c)
  else
    echo "This build needs packages that are not installed. As root, run:" >&2
    echo "  $line" >&2
    exit 1
  fi
  echo "Installing: $*"
  "${run[@]}" "export DEBIAN_FRONTEND=noninteractive; $line"
}

check_rust() {
  local wanted found
  if ! have cargo || ! have rustc; then
    if [ -r "$HOME/.cargo/env" ]; then
      echo "Rust is installed but not in the PATH. Run:  . \"\$HOME/.cargo/env\"" >&2
    else
      echo "This build needs Rust. Install it with:" >&2
      echo "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . \"\$HOME/.cargo/env\"" >&2
    fi
    exit 1
  fi
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  found=$(rustc --version | cut -d' ' -f2)
  if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
    echo "This build needs Rust $wanted or newer; found $found. Run:  rustup update stable" >&2
    exit 1
  fi
}

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -gt 0 ]; then
  install_packages "${missing[@]}"
fi
check_rust

if ! compgen -G "${CARGO_TARGET_DIR:-target}/release/build/librocksdb-sys-*/output" >/dev/null; then
  echo "The first build compiles RocksDB from source: expect about 20 minutes on two cores."
fi
