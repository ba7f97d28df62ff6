//! What happens on the way of a request when something else happens meanwhile: twins, time that
//! runs out, peers that leave, handlers that panic, a process that ends.

mod at_once;
mod cancellation;
mod confirm;
mod drain;
mod knobs;
mod logs;
mod nested;
mod overload;
mod panic;
mod questions;
#[cfg(feature = "tracing")]
mod spans;
mod time;
mod twins;
mod unknown;
mod variants;
