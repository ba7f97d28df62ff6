//! The steps `event -> signature`: whose task a body is about, and who says so.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::gate::{Credentials, SignedHead};
use crate::{
    delivery::{Arrival, Origin, Trust, Via},
    event::{Scanned, scan},
    metrics::EventMeters,
    product::{KeysOf, Product, callback},
    reply::Rejection,
    util::clock,
};

/// Checks bodies.
pub(crate) struct Verifying<P> {
    pub(crate) product: P,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) reply_deadline: Duration,
    pub(crate) meters: EventMeters,
}

impl<P: Product> Verifying<P> {
    /// The body is scanned first, because the signed id is in it; nothing is built from it before
    /// the signature is good.
    pub(crate) fn verify(
        &self,
        head: &SignedHead,
        body: &Bytes,
        began: Instant,
    ) -> Result<Arrival<P::Event>, Rejection> {
        let check = |scanned: &Scanned<'_>| {
            scanned.check_ids()?;
            self.origin(head, scanned)
        };
        scan::<KeysOf<P>, _, _, _>(body, check, |origin, scanned, text| {
            let event = callback(&self.product, scanned, text);
            self.arrival(event, origin, began)
        })
    }

    /// A record that a poll found.
    pub(crate) fn polled(&self, record: P::Event) -> Arrival<P::Event> {
        let origin = Origin {
            trust: Trust::Confirmed,
            via: Via::Poll,
            key_label: None,
            signed_at: None,
        };
        self.arrival(record, origin, clock::look())
    }

    fn arrival(&self, event: P::Event, origin: Origin, began: Instant) -> Arrival<P::Event> {
        let deadline = began + self.reply_deadline;
        Arrival {
            event,
            origin,
            began,
            deadline,
            meters: self.meters.clone(),
        }
    }

    fn origin(&self, head: &SignedHead, scanned: &Scanned<'_>) -> Result<Origin, Rejection> {
        let (trust, key_label, signed_at) = match (&*self.credentials, head) {
            (
                Credentials::Signed(keys),
                SignedHead::Signed {
                    timestamp,
                    signature,
                },
            ) => {
                let label = keys.verify(scanned.task_id(), timestamp, signature);
                let label = label.ok_or(Rejection::SignatureWrong)?;
                let seconds = timestamp.seconds();
                (Trust::SignedId, Some(Arc::clone(label)), Some(seconds))
            }
            (Credentials::Unsigned(_), SignedHead::Unsigned) => (Trust::Unsigned, None, None),
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
