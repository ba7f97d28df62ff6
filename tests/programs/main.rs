//! Every example as a program, over real sockets and on real stores: run, killed, stopped, stormed.
//!
//! PostgreSQL and Redis are at `SUNO_TEST_POSTGRES` and `SUNO_TEST_REDIS`, as `tests/servers.sh`
//! starts them.

mod crash;
mod examples;
mod explain;
mod forward;
mod products;
mod receiver_stores;
