#!/usr/bin/env bash
# What the library adds to a clean build of an axum app: `tests/mounting/axum` without and with it, each
# built three times from clean, in turns. The crates are downloaded before, and the versions are those
# of the lock file.
#
#   tests/build_time.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
apps=$(mktemp -d)
trap 'rm -rf "$apps"' EXIT

app() { # NAME SOURCE [DEPENDENCY]
    mkdir -p "$apps/$1/src"
    cp "$root/Cargo.lock" "$apps/$1"
    cp "$root/tests/mounting/axum/$2.rs" "$apps/$1/src/main.rs"
    cat >"$apps/$1/Cargo.toml" <<END
[package]
name = "app"
edition = "2024"
[workspace]
[dependencies]
axum = "0.8"
tokio = { version = "1", features = ["full"] }
${3-}
END
    cargo fetch --quiet --manifest-path "$apps/$1/Cargo.toml"
}

build() { # NAME: seconds on the wall and on the processors
    rm -rf "$apps/$1/target"
    local TIMEFORMAT='%R %U %S'
    { time cargo build --quiet --offline -j2 --manifest-path "$apps/$1/Cargo.toml" \
        --target-dir "$apps/$1/target" 2>&3; } 3>&2 2>&1 \
        | awk '{ printf "%.1f %.1f\n", $1, $2 + $3 }' | tee -a "$apps/$1.times"
}

median() { cut -d' ' -f"$2" "$apps/$1.times" | sort -n | sed -n 2p; }

app plain before
app ours after "suno-callback = { path = \"$root\" }"
for _ in 1 2 3; do
    for name in plain ours; do
        uptime
        echo "$name: $(build $name)"
    done
done
for name in plain ours; do
    echo "$name: median $(median $name 1) s, on the processors $(median $name 2) s"
done
