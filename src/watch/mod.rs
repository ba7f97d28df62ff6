//! The tasks that are asked about until their outcome is delivered, and who asks.

mod driving;
mod entries;
mod pace;
mod queue;
mod run;
mod watched;
mod watchlist;

pub use self::{
    pace::{InvalidPace, Pace},
    watched::{Unsettled, Watch, Watched},
    watchlist::Watchlist,
};

pub(crate) use self::{
    entries::Kept,
    run::{HandOver, Handing, Source, keep_asking},
};
