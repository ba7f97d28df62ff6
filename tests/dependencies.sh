#!/usr/bin/env bash
# The library as a dependency, as far as it takes too long for the gate:
#
#   policy   what deny.toml allows (cargo-deny is built where it is missing)
#   package  the package alone builds
#   minimal  so it does with the oldest versions that Cargo.toml allows
#
#   tests/dependencies.sh [policy|package|minimal]...
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

policy() {
    cargo deny --version >/dev/null 2>&1 || cargo install --locked --version 0.20.2 cargo-deny
    cargo deny --locked check bans licenses sources
}

package() {
    cargo package --locked --allow-dirty --target-dir "$scratch/package"
    cargo package --locked --allow-dirty --target-dir "$scratch/package" --all-features
}

minimal() {
    cargo package --quiet --locked --allow-dirty --no-verify --target-dir "$scratch/minimal"
    tar -xzf "$scratch"/minimal/package/*.crate -C "$scratch"
    cd "$scratch"/suno-callback-*
    # What only tests and examples need would raise the versions.
    awk '/^\[/ { skip = /^\[(dev-dependencies|\[example)/ } !skip' Cargo.toml >Cargo.new
    mv Cargo.new Cargo.toml
    rm -rf examples Cargo.lock
    # Only to choose versions; the compiler is the stable one as it is.
    RUSTC_BOOTSTRAP=1 cargo -Z direct-minimal-versions generate-lockfile
    cargo check --locked --target-dir "$scratch/target"
    cargo check --locked --target-dir "$scratch/target" --all-features
    cd - >/dev/null
}

[ $# -gt 0 ] || set -- policy package minimal
passed=0
for part in "$@"; do
    case $part in policy | package | minimal) ;; *) sed -n '2,8p' "$0" >&2 && exit 2 ;; esac
    echo "--- $part"
    "$part"
    passed=$((passed + 1))
done
printf '\n%s passed, 0 failed\n' "$passed"
