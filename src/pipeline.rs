//! What all steps of a request share.

use std::{fmt, future::Future, sync::Arc};

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::{
    arrival::{Arrival, Origin},
    confirm::{Confirmer, Unconfirmed, UnconfirmedHook},
    conflict::ConflictHook,
    delivery::{Trust, Via},
    drain::Drain,
    event::{CallbackKind, Claims, InvalidEvent, VoiceEvent},
    gate::{Credentials, Gate, Proof},
    milestone::Namespace,
    panic::{Guarded, Panicked},
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
        let mut claims = Claims::default();
        claims.read(body)?;
        let origin = self.origin(proof, &claims)?;
        let event = VoiceEvent::new(self.kind, &claims, body);
        let deadline = began + self.times.reply_deadline;
        Ok(Arrival::new(event, origin, began, deadline))
    }

    /// A record that a poll found.
    #[cfg(feature = "client")]
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
        let tried = self.store_once(name, || end, &operation).await;
        if tried.is_some() {
            return tried;
        }
        // Boxed, so that the way without a failure stays small.
        Box::pin(self.store_again(name, end, operation)).await
    }

    async fn store_again<T, F>(
        &self,
        name: &'static str,
        end: Instant,
        operation: impl Fn() -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, D::Error>>,
    {
        let rest = self.times.store_budget - self.times.store_operation;
        let end = end.min(Instant::now() + rest);
        let mut backoff = Backoff::new(rest / 30, rest / 10);
        for _ in 1..Self::TRIES {
            by(end, sleep(backoff.pause())).await?;
            let tried = self.store_once(name, || end, &operation).await;
            if tried.is_some() {
                return tried;
            }
        }
        None
    }

    /// Tries a store operation once. `None` when it failed, panicked, or was not answered in time.
    pub(crate) async fn store_once<T, F>(
        &self,
        name: &'static str,
        end: impl Fn() -> Instant,
        operation: impl FnOnce() -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, D::Error>>,
    {
        let guarded = Guarded::new(name, operation);
        match within(self.times.store_operation, end, guarded).await {
            Some(Ok(Ok(answer))) => return Some(answer),
            Some(Ok(Err(error))) => trace::store_failed(name, &error.into()),
            Some(Err(Panicked)) => {} // logged where it was caught
            None => trace::store_slow(name),
        }
        None
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
