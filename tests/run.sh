#!/usr/bin/env bash
# The gate: every behaviour, on real servers and with real kills, in small counts.
#
#   tests/run.sh                         everything
#   tests/run.sh -E 'test(=NAME)' ...    a part, as `cargo nextest run` takes it
#   SEED=N tests/run.sh ...              with the seed that a failure named
#
# It installs what is missing where it can (Debian, as root) and says what is missing where it
# cannot, starts its servers on private ports of loopback, and runs to its end whatever fails on the
# way. However it ends, no process and no file of it is left. `tests/campaign.sh` plays the same in
# large.
set -uo pipefail
cd "$(dirname "$0")/.."
. tests/gate.sh

gate_enter
gate_tools || exit 1
servers_start || exit 1

if [ $# -gt 0 ]; then
    gate_nextest "a part" --workspace --all-features "$@"
    gate_end
fi

# The list of what is public is read from rustdoc's JSON, whose format changes with the compiler.
every="all()"
if ! rustc --version | grep -q '^rustc 1\.95\.'; then
    every='not (package(api) & test(/^public::/))'
    gate_skip "the list of what is public, which is kept with Rust 1.95"
fi
gate_nextest "every package, all features" --workspace --all-features -E "$every"
gate_cargo_test "examples in the documentation, all features" --doc --all-features
# What a user runs first: no server, no feature that is not a default.
gate_without_servers gate_cargo_test "the root package as it is" --quiet
gate_end
