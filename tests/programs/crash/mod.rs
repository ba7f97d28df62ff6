//! Real receivers that are killed, stopped and stormed, with the provider's rules in front.
//!
//! The receivers are the programs that cargo builds from `examples/receiver`; PostgreSQL and Redis
//! are at `SUNO_TEST_POSTGRES` and `SUNO_TEST_REDIS`, as `tests/servers.sh` starts them.
//!
//! The tests take turns: each of them measures times.

mod fleet;
mod kill;
mod pause;
mod provider;
mod stampede;
mod store;

use tokio::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::const_new(());

async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}
