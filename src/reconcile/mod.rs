//! Asks on about what no callback has told: [`Reconciler`], and what a layer with a
//! [`Confirm`](crate::Confirm) keeps.
//!
//! After three failed tries the provider stops calling for ever, a callback may be lost on its way,
//! and a callback that could not be confirmed in time must not be lost for it. In all three cases
//! the task goes on a list, is asked about every 3 to 30 seconds, and its record takes the way of a
//! callback when it is known.
//!
//! A layer with a confirmer keeps its own list of what it could not confirm, and asks on without
//! anybody's help. A [`Reconciler`] watches what the application puts on a [`Watchlist`].
//!
//! # After a restart
//!
//! Both lists are in memory. What was on them must come from the application, which knows what it
//! submitted and has seen no end of: give those tasks to [`Watchlist::watch_all`].

mod pace;
mod queue;
mod reconciler;
mod run;
mod watch;
mod watchlist;

pub use self::{
    pace::{InvalidPace, Pace},
    reconciler::Reconciler,
    watch::{Unsettled, Watch, Watched},
    watchlist::Watchlist,
};

pub(crate) use self::{
    run::{HandOver, Handing, Source, keep_asking},
    watchlist::Kept,
};
