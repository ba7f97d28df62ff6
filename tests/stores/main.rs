//! The stores, each on the real thing. PostgreSQL and Redis are at `SUNO_TEST_POSTGRES` and
//! `SUNO_TEST_REDIS`, as `tests/servers.sh` starts them; what a test breaks it starts itself.

mod failover;
mod faults;
mod faulty;
mod laws;
mod memory;
mod outages;
mod postgres;
mod postgres_failover;
mod postgres_outages;
mod postgres_prepared;
mod redis;
mod redis_cluster;
mod rough;
mod round_trips;
mod sqlite;
mod testkit;
