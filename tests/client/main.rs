//! Asking the provider: the client, the reconciler, and what they keep out.

mod burst;
mod client;
mod forge_matrix;
mod products;
mod reconcile;
