//! What the README and the documentation say in figures and names is what the code does.

mod figures;
mod names;
mod text;
