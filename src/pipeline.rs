//! What all steps of a request share.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::{
    confirm::{Confirmer, Unconfirmed, UnconfirmedHook},
    conflict::ConflictHook,
    delivery::{Origin, Trust, Via},
    drain::Drain,
    event::{CallbackKind, Claims, InvalidEvent, Meaning, VoiceEvent},
    gate::{Credentials, Gate, Proof},
    milestone::{Memory, Namespace},
    rejection::Rejection,
    store::DedupStore,
    timer::{Backoff, by, within},
    times::{Limits, Times},
    trace,
    twins::Twins,
};

pub(crate) struct Pipeline<D> {
    pub(crate) gate: Gate,
    pub(crate) kind: CallbackKind,
    pub(crate) namespace: Namespace,
    pub(crate) store: Arc<D>,
    pub(crate) times: Times,
    pub(crate) limits: Limits,
    pub(crate) twins: Arc<Twins>,
    pub(crate) drain: Drain,
    pub(crate) confirmer: Option<Arc<Confirmer>>,
    pub(crate) confirm_phrases: bool,
    pub(crate) unconfirmed: Unconfirmed,
    pub(crate) on_unconfirmed: Option<UnconfirmedHook>,
    pub(crate) on_conflict: Option<ConflictHook>,
}

/// An event that is who it says it is, on its way to a slot.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) event: VoiceEvent,
    pub(crate) origin: Origin,
    pub(crate) began: Instant,
    pub(crate) deadline: Instant,
}

impl Arrival {
    pub(crate) fn is_success(&self) -> bool {
        self.event.meaning() == Meaning::Ready
    }

    /// Replaces what was claimed by what the provider's record says.
    pub(crate) fn take(&mut self, truth: VoiceEvent) {
        self.event = truth;
        self.origin.trust = Trust::Confirmed;
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory::of(&self.event, self.origin.signed_at, self.origin.trust)
    }
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
        let body = std::str::from_utf8(body).map_err(|_| InvalidEvent::NotJson)?;
        let claims = Claims::parse(body)?;
        let origin = self.origin(proof, &claims)?;
        Ok(Arrival {
            event: VoiceEvent::new(self.kind, &claims, body),
            origin,
            began,
            deadline: began + self.times.reply_deadline,
        })
    }

    /// A record that a poll found.
    #[cfg(feature = "client")]
    pub(crate) fn polled(&self, record: VoiceEvent) -> Arrival {
        let began = Instant::now();
        Arrival {
            event: record,
            origin: Origin {
                trust: Trust::Confirmed,
                via: Via::Poll,
                key_label: None,
                signed_at: None,
            },
            began,
            deadline: began + self.times.reply_deadline,
        }
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

impl<D: DedupStore> Pipeline<D> {
    const TRIES: usize = 3;

    /// Tries a store operation up to three times. `None` when it failed or `end` came.
    pub(crate) async fn store<T, F>(
        &self,
        name: &'static str,
        end: Instant,
        operation: impl Fn() -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, D::Error>>,
    {
        if let Some(answer) = self.store_once(name, end, operation()).await {
            return Some(answer);
        }
        let rest = self.times.store_budget - self.times.store_operation;
        let end = end.min(Instant::now() + rest);
        let mut backoff = Backoff::new(rest / 30, rest / 10);
        for _ in 1..Self::TRIES {
            by(end, sleep(backoff.pause())).await?;
            if let Some(answer) = self.store_once(name, end, operation()).await {
                return Some(answer);
            }
        }
        None
    }

    /// Tries a store operation once, for at most its time.
    pub(crate) async fn store_once<T, F>(
        &self,
        name: &'static str,
        end: Instant,
        operation: F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, D::Error>>,
    {
        match within(self.times.store_operation, end, operation).await {
            Some(Ok(answer)) => Some(answer),
            Some(Err(error)) => {
                trace::store_failed(name, &error.into());
                None
            }
            None => {
                trace::store_slow(name);
                None
            }
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
