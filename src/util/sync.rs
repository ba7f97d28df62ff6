//! The primitives by which threads meet in `process`. `tests/interleavings` puts those of a
//! scheduler in their place, which tries one order after the other.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};

pub(crate) use tokio::sync::Notify;
