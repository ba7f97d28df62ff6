//! What all steps of a request share.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    config::{Limits, Times},
    confirm::{Unconfirmed, UnconfirmedHook},
    delivery::arrival::Arrival,
    delivery::slot::Namespace,
    delivery::{ConflictHook, Origin, Trust, Via},
    event::{self, CallbackKind, Claims, VoiceEvent},
    process::confirmer::Confirmer,
    process::drain::Drain,
    process::twins::Twins,
    process::variants::Variants,
    reply::Rejection,
    request::gate::{Credentials, Gate, Proof},
};

pub(crate) struct Pipeline<D> {
    pub(crate) gate: Gate,
    pub(crate) kind: CallbackKind,
    pub(crate) namespace: Namespace,
    pub(crate) store: Arc<D>,
    pub(crate) times: Times,
    pub(crate) limits: Limits,
    pub(crate) twins: Arc<Twins>,
    pub(crate) variants: Arc<Variants>,
    pub(crate) drain: Drain,
    pub(crate) confirmer: Option<Arc<Confirmer>>,
    pub(crate) confirm_phrases: bool,
    pub(crate) unconfirmed: Unconfirmed,
    pub(crate) on_unconfirmed: Option<UnconfirmedHook>,
    pub(crate) on_conflict: Option<ConflictHook>,
}

impl<D> Pipeline<D> {
    /// event -> signature
    ///
    /// The body is parsed first, because the signed id is in it; nothing is built from it before
    /// the signature is good.
    pub(crate) fn verify(
        &self,
        proof: &Proof,
        body: &Bytes,
        began: Instant,
    ) -> Result<Arrival, Rejection> {
        event::read(body, |claims, text| {
            claims.check_ids()?;
            let origin = self.origin(proof, claims)?;
            let event = VoiceEvent::new(self.kind, claims, text);
            let deadline = began + self.times.reply_deadline;
            Ok(Arrival::new(event, origin, began, deadline))
        })
    }

    /// A record that a poll found.
    pub(crate) fn polled(&self, record: VoiceEvent) -> Arrival {
        let origin = Origin {
            trust: Trust::Confirmed,
            via: Via::Poll,
            key_label: None,
            signed_at: None,
        };
        let began = Instant::now();
        Arrival::new(record, origin, began, began + self.times.reply_deadline)
    }

    fn origin(&self, proof: &Proof, claims: &Claims<'_>) -> Result<Origin, Rejection> {
        let (trust, key_label, signed_at) = match (&self.gate.credentials, proof) {
            (
                Credentials::Signed(keys),
                Proof::Signed {
                    timestamp,
                    signature,
                },
            ) => {
                let label = keys.verify(claims.task_id(), timestamp, signature);
                let label = label.ok_or(Rejection::SignatureWrong)?;
                (
                    Trust::SignedId,
                    Some(Arc::clone(label)),
                    Some(timestamp.seconds()),
                )
            }
            (Credentials::Unsigned(_), Proof::Unsigned) => (Trust::Unsigned, None, None),
            _ => return Err(Rejection::SignatureWrong),
        };
        Ok(Origin {
            trust,
            via: Via::Callback,
            key_label,
            signed_at,
        })
    }
}

// Derived, it would ask the store to be `Clone`.
impl<D> Clone for Pipeline<D> {
    fn clone(&self) -> Self {
        Self {
            gate: self.gate.clone(),
            kind: self.kind,
            namespace: self.namespace.clone(),
            store: Arc::clone(&self.store),
            times: self.times.clone(),
            limits: self.limits.clone(),
            twins: Arc::clone(&self.twins),
            variants: Arc::clone(&self.variants),
            drain: self.drain.clone(),
            confirmer: self.confirmer.clone(),
            confirm_phrases: self.confirm_phrases,
            unconfirmed: self.unconfirmed,
            on_unconfirmed: self.on_unconfirmed.clone(),
            on_conflict: self.on_conflict.clone(),
        }
    }
}

impl<D> fmt::Debug for Pipeline<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("gate", &self.gate)
            .field("kind", &self.kind)
            .field("times", &self.times)
            .field("limits", &self.limits)
            .field("drain", &self.drain)
            .finish_non_exhaustive()
    }
}
