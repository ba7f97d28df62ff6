#!/usr/bin/env bash
# Waits until a gate is gone, ends what it has left, and removes its folder.
#
#   tests/witness.sh PID FOLDER
#
# What belongs to a gate carries SUNO_GATE=FOLDER in its environment, or its command line or its
# working directory is within FOLDER, as with PostgreSQL, which overwrites its environment.
set -u
gate=$1 folder=$2
unset SUNO_GATE
cd / || exit 1

tail --pid="$gate" -f /dev/null

marked() {
    local process pid
    for process in /proc/[0-9]*; do
        pid=${process#/proc/}
        [ "$pid" = $$ ] && continue
        if tr '\0' '\n' <"$process/environ" 2>/dev/null | grep -qxF "SUNO_GATE=$folder" ||
            tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -qF "$folder" ||
            [[ $(readlink "$process/cwd" 2>/dev/null) == "$folder"* ]]; then
            # Not this script's own children, which carry the folder in their command line.
            [ "$(sed -n 's/^PPid:\t//p' "$process/status" 2>/dev/null)" = $$ ] || echo "$pid"
        fi
    done
}

for _ in $(seq 100); do
    left=$(marked)
    [ -n "$left" ] || break
    # shellcheck disable=SC2086
    kill -KILL $left 2>/dev/null
    sleep 0.1
done
rm -rf "$folder"
