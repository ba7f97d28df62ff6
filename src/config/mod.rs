//! What the application decides: how long everything takes, how much of it there may be, and what
//! time it is.

mod clock;
mod limits;
mod times;

pub use self::{
    clock::{Clock, SystemClock},
    limits::{InvalidLimits, Limits},
    times::{InvalidTimes, Times},
};

pub(crate) use self::clock::unix_time;
