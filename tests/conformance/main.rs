//! The conformance kit for products: it passes the products of this crate, and names the law that a
//! product with a deliberate fault breaks.

mod every;
mod faulty;
mod laws;
mod own;
mod voices;
