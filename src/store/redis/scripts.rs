//! The steps of a store, as scripts.

use super::script::Script;

pub(super) struct Scripts {
    pub(super) peek: Script,
    pub(super) claim: Script,
    pub(super) renew: Script,
    pub(super) commit: Script,
    pub(super) release: Script,
    pub(super) rights: Script,
}

/// The text of a step, which begins with reading the slot.
macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(include_str!("lua/slot.lua"), include_str!($file)))
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            peek: script!("lua/peek.lua"),
            claim: script!("lua/claim.lua"),
            renew: script!("lua/renew.lua"),
            commit: script!("lua/commit.lua"),
            release: script!("lua/release.lua"),
            rights: Script::new(include_str!("lua/rights.lua")),
        }
    }
}
