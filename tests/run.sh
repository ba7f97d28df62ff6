#!/usr/bin/env bash
# Runs every test of the project, against real servers:
#
#   tests/run.sh
#
# Starts a private PostgreSQL and a private Redis on loopback and stops them again. On Debian, as
# root, it installs what is missing; elsewhere it says what is missing. Nothing is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v cargo >/dev/null; then
    echo "tests/run.sh: cargo is missing; see https://rustup.rs" >&2
    exit 1
fi
if ! command -v cc >/dev/null; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "tests/run.sh: a C compiler (cc) is missing" >&2
        exit 1
    fi
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends gcc libc6-dev
fi

. tests/servers.sh
servers_start

echo "--- default features, with no server around"
env -u SUNO_TEST_POSTGRES -u SUNO_TEST_REDIS cargo test --locked

echo "--- all features"
cargo test --locked --workspace --all-features
