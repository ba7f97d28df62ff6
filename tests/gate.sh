# What tests/run.sh and tests/campaign.sh share: tools, a place of their own, an end without
# leftovers, and a summary. To be sourced by bash, in the root of the project.

. tests/servers.sh

GATE_PASSED=0
GATE_FAILED=0
GATE_SKIPPED=()
GATE_NOTES=()

# A folder for every file of this run, and a witness that outlives even `kill -9` of it: when this
# shell is gone, whatever carries its mark is ended and the folder removed.
gate_enter() {
    SUNO_GATE=$(mktemp -d "${TMPDIR:-/tmp}/suno-gate.XXXXXX") || exit 1
    chmod 755 "$SUNO_GATE"
    setsid tests/witness.sh $$ "$SUNO_GATE" </dev/null >/dev/null 2>&1 &
    disown
    # A test that fails says where; thousands of frames would hide it.
    export SUNO_GATE TMPDIR=$SUNO_GATE RUST_BACKTRACE=0
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    trap gate_leave EXIT
}

gate_leave() {
    servers_stop
    rm -rf "$SUNO_GATE"
}

# cargo, a C compiler and nextest: named where they cannot be installed.
gate_tools() {
    if ! command -v cargo >/dev/null; then
        echo "tests: cargo is missing; see https://rustup.rs" >&2
        return 1
    fi
    if ! command -v cc >/dev/null; then
        servers_apt gcc libc6-dev || return 1
    fi
    if ! cargo nextest --version >/dev/null 2>&1; then
        echo "--- cargo-nextest is missing and is built, once" >&2
        cargo install --locked --quiet --version 0.9.143 cargo-nextest || return 1
    fi
}

# Runs tests with nextest, and notes what failed with the command that repeats it.
gate_nextest() {
    local title=$1 report=target/nextest/${GATE_PROFILE:-default}/junit.xml
    shift
    echo "--- $title"
    rm -f "$report"
    cargo nextest run --locked --profile "${GATE_PROFILE:-default}" "$@"
    local code=$?
    if [ ! -e "$report" ]; then
        gate_broken "$title: nothing ran (exit code $code)"
        return
    fi
    local lines
    lines=$(awk -f tests/failures.awk "$report")
    gate_count "$(sed -n 's/^passed //p' <<<"$lines")" "$(sed -n 's/^failed //p' <<<"$lines")"
    while read -r note; do GATE_NOTES+=("${note#repeat }"); done < <(grep '^repeat ' <<<"$lines")
    case $code in
        0) ;;
        # Some failed. Where none did, some were not run.
        100) grep -q '^failed [1-9]' <<<"$lines" || gate_broken "$title: not every test was run" ;;
        # Built wrong, or ended by somebody.
        *) gate_broken "$title: exit code $code" ;;
    esac
}

# Runs tests with cargo's own runner.
gate_cargo_test() {
    local title=$1 log=$SUNO_GATE/cargo-test.log
    shift
    echo "--- $title"
    cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log"
    local code=${PIPESTATUS[0]} result='s/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p'
    local passed failed total_passed=0 total_failed=0
    while read -r passed failed; do
        total_passed=$((total_passed + passed)) total_failed=$((total_failed + failed))
    done < <(sed -n "$result" "$log")
    gate_count "$total_passed" "$total_failed"
    if [ "$code" -ne 0 ]; then
        GATE_NOTES+=("cargo test --locked $*    # $(sed -n 's/^    \(.*\)$/\1/p' "$log" | sort -u | tr '\n' ' ')")
        [ "$total_failed" -gt 0 ] || gate_broken "$title: exit code $code"
    fi
}

gate_without_servers() {
    local postgres=$SUNO_TEST_POSTGRES redis=$SUNO_TEST_REDIS
    unset SUNO_TEST_POSTGRES SUNO_TEST_REDIS
    "$@"
    export SUNO_TEST_POSTGRES=$postgres SUNO_TEST_REDIS=$redis
}

gate_count() {
    GATE_PASSED=$((GATE_PASSED + ${1:-0}))
    GATE_FAILED=$((GATE_FAILED + ${2:-0}))
}

# A test that cannot run here.
gate_skip() {
    GATE_SKIPPED+=("$1")
}

# Something that is no test has failed: counted like one, so that no sum hides it.
gate_broken() {
    GATE_FAILED=$((GATE_FAILED + 1))
    GATE_NOTES+=("$1")
}

# The summary, with the plain count as its last line.
gate_end() {
    if [ ${#GATE_NOTES[@]} -gt 0 ]; then
        printf '\nFailed, with the command that repeats it:\n'
        printf '  %s\n' "${GATE_NOTES[@]}"
    fi
    if [ ${#GATE_SKIPPED[@]} -gt 0 ]; then
        printf '\nSkipped:\n'
        printf '  %s\n' "${GATE_SKIPPED[@]}"
    fi
    printf '\n%s passed, %s failed, %s skipped\n' "$GATE_PASSED" "$GATE_FAILED" "${#GATE_SKIPPED[@]}"
    [ "$GATE_FAILED" -eq 0 ] && [ "$GATE_PASSED" -gt 0 ]
    exit
}
