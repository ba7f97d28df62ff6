//! The layer against models of what it must do, and in simulations of the world around it.

mod malformed;
mod meaning;
mod outages;
mod reconcile_sim;
mod schedules;
