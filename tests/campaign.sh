#!/usr/bin/env bash
# Plays one of the gate's tests in large.
#
#   tests/campaign.sh NAME [--seed N] [--count N]
#   tests/campaign.sh dependencies    no test: what tests/dependencies.sh says
#
# The names, what is counted and the default counts are in tests/harness/src/counts.rs; without a
# name they are listed. What a campaign printed belongs into tests/PROOF.md.
set -uo pipefail
cd "$(dirname "$0")/.."

# The name of each campaign and the tests that it enlarges.
campaigns() {
    cat <<'LIST'
cancellations  binary(flow) & test(/random_cancellations/)
twins          binary(flow) & test(/sixty_four_twins/)
malformed      binary(model) & test(/^malformed::/)
schedules      binary(model) & test(/^schedules::/)
interleavings  binary(interleavings)
rough          binary(stores) & test(/^rough::/)
outages        binary(stores) & test(/^outages::/)
day            binary(model) & test(/^reconcile_sim::/)
kills          binary(programs) & test(/^crash::kill::/)
stops          binary(programs) & test(/^crash::pause::/)
stampede       binary(programs) & test(/^crash::stampede::/)
queue          package(example-queue)
replicas       package(example-axum-postgres)
instructions   of the layer against a handler by hand, counted by valgrind
LIST
}

# Not in the gate, because an optimized build of the benches takes minutes.
instructions() {
    command -v valgrind >/dev/null || servers_apt valgrind || exit 1
    command -v objdump >/dev/null || servers_apt binutils || exit 1
    if cargo bench --locked -p benches --bench request -- --instructions; then
        gate_count 1 0
    else
        gate_broken "cargo bench --locked -p benches --bench request -- --instructions"
    fi
    gate_end
}

usage() {
    echo "usage: tests/campaign.sh NAME [--seed N] [--count N]" >&2
    { campaigns; echo "dependencies   tests/dependencies.sh"; } | sed 's/^/  /' >&2
    exit 2
}

[ $# -gt 0 ] || usage
name=$1
shift
[ "$name" = dependencies ] && exec tests/dependencies.sh "$@"
while [ $# -gt 0 ]; do
    case $1 in
    --seed) export SEED=${2:?a number} ;;
    --count) export SUNO_COUNT=${2:?a number} ;;
    *) usage ;;
    esac
    shift 2
done
tests=$(campaigns | sed -n "s/^$name  *//p")
[ -n "$tests" ] || usage

. tests/gate.sh
gate_enter
gate_tools || exit 1
[ "$name" != instructions ] || instructions
servers_start || exit 1
export SUNO_CAMPAIGN=$name GATE_PROFILE=campaign
gate_nextest "campaign: $name" --workspace --all-features -E "$tests"
gate_end
