//! What the events of all products share: how a body is read, whose task it is about, and how far
//! that task is.

mod grammar;
mod id;
#[cfg(test)]
mod in_every_order;
mod input;
mod invalid;
mod keys;
mod nesting;
mod part;
mod quoted;
mod repair;
mod scan;
mod scanned;
mod skim;
mod stage;
mod text;
mod value;
mod walk;

pub use self::{
    id::{InvalidTaskId, TaskId},
    invalid::InvalidEvent,
    keys::{Key, Level},
    scanned::Scanned,
    stage::Stage,
    value::Value,
};

pub(crate) use self::{
    id::text_traits, keys::Keys, part::Part, repair::repaired, scan::scan, text::Text,
};
