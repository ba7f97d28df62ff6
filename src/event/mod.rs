//! What the events of all products share: how a body is read, whose task it is about, and how far
//! that task is.

mod id;
mod invalid;
mod part;
mod repair;
mod scan;
mod stage;
mod text;
mod value;

pub use self::{
    id::{InvalidTaskId, TaskId},
    invalid::InvalidEvent,
    scan::{Key, Level, Scanned},
    stage::Stage,
    value::Value,
};

pub(crate) use self::{
    id::text_traits,
    part::Part,
    repair::repaired,
    scan::{Keys, scan},
    text::Text,
};
