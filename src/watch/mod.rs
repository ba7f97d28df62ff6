//! The tasks that are asked about until their outcome is delivered, and who asks.

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
    run::{HandOver, Handing, Source, keep_asking},
    watchlist::Kept,
};
