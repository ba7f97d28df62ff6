//! The library as a dependency: what is public, which types of others are in it, and how many crates
//! come with it.

mod public;
mod weight;
