//! Which slot an event belongs to.
//!
//! One slot for the success of a task, one for its failure, one for each step on the way, and one for
//! each content that contradicts itself or is unknown. A success looks at no slot but its own, so
//! nothing that came before can swallow it, not even a forged failure.

use sha2::{Digest, Sha256};

use crate::{
    event::{Stage, TaskId},
    product::Event,
    store::SlotKey,
};

/// Names slots. Two handlers on one store need two namespaces.
#[derive(Clone)]
pub(crate) struct Namespace {
    name: [u8; 32],
    /// The first block of every name, compressed once and for all.
    prefix: Sha256,
}

impl Namespace {
    /// The slots of the events of `product` in the namespace `name`.
    pub(crate) fn new(name: &str, product: &str) -> Self {
        Self::hashed(Sha256::digest(name).into(), product)
    }

    pub(crate) fn of_product(&self, product: &str) -> Self {
        Self::hashed(self.name, product)
    }

    fn hashed(name: [u8; 32], product: &str) -> Self {
        let domain = Sha256::new_with_prefix("suno-callback/2/");
        let product: [u8; 32] = domain.chain_update(product).finalize().into();
        let prefix = Sha256::new_with_prefix(name).chain_update(product);
        Self { name, prefix }
    }

    /// The slot of a task's success.
    pub(crate) fn success(&self, task: &TaskId) -> SlotKey {
        finish(self.start(task, Tag::Success))
    }

    /// The slot of an event.
    pub(crate) fn slot<E: Event>(&self, event: &E) -> SlotKey {
        let (tag, name) = match event.stage() {
            Stage::Success => (Tag::Success, ""),
            Stage::Failure => (Tag::Failure, ""),
            Stage::Progress { name, .. } => (Tag::Progress, name),
            Stage::Inconsistent { why } => (Tag::Inconsistent, why),
            Stage::Unknown => (Tag::Unknown, ""),
        };
        let hash = self.start(event.task_id(), tag);
        match (name, event.variant()) {
            ("", "") => finish(hash),
            (name, variant) => {
                let len = (name.len() as u64).to_be_bytes();
                let named = hash.chain_update(len).chain_update(name);
                finish(named.chain_update(variant))
            }
        }
    }

    fn start(&self, task: &TaskId, tag: Tag) -> Sha256 {
        let id = task.as_bytes();
        let [high, low] = u16::try_from(id.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut hash = self.prefix.clone();
        hash.update([tag as u8, high, low]);
        hash.update(id);
        hash
    }
}

#[derive(Clone, Copy)]
enum Tag {
    Success = 1,
    Failure = 2,
    Progress = 3,
    Inconsistent = 4,
    Unknown = 5,
}

fn finish(hash: Sha256) -> SlotKey {
    SlotKey::from(<[u8; 32]>::from(hash.finalize()))
}
