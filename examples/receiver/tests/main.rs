//! A receiver that is watched by a real Prometheus, with the rules and the dashboard of `deploy`.
//!
//! `prometheus` and `promtool` are Debian's package `prometheus`, which `tests/servers.sh` installs.

mod alerts;
mod prometheus;
mod scraped;
